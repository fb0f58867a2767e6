"""solo-learn's methods with a projection head of df_heads in place of their MLP."""

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from df_heads.integrations.method.teachers import noiseless_copy
from df_heads.integrations.solo_learn.joint import joint_views
from df_heads.integrations.solo_learn.options import build_projector, check_head_options
from df_heads.integrations.solo_learn.support import (
    METHOD_NAMES,
    BaseMethod,
    OmegaConf,
    backbone_builders,
)

_RECORD = "df_heads"


class _WithHead:
    """What with_head puts before a solo-learn method."""

    cfg: Any
    features_dim: int
    projector: nn.Module
    momentum_projector: nn.Module

    def __init__(self, cfg: Any) -> None:
        super().__init__(cfg)  # type: ignore[call-arg]
        options: Any = OmegaConf.to_container(self.cfg.method_kwargs.head, resolve=True)
        width = _projector_width(self)
        # What is drawn later, such as the order of the data, stays as with the base method.
        with torch.random.fork_rng(devices=[]):
            self.projector = build_projector(options, self.features_dim, width)
        if hasattr(self, "momentum_projector"):
            self.momentum_projector = noiseless_copy(self.projector).requires_grad_(False)

    @property
    def _BACKBONES(self) -> dict[str, Callable[..., nn.Module]]:  # noqa: N802 -- solo-learn's name
        return backbone_builders()

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """The base method's step, with the sequences that method_kwargs.head.views names."""
        if self.cfg.method_kwargs.head.views == "separate":
            return super().training_step(batch, batch_idx)  # type: ignore[misc, no-any-return]
        with joint_views(self, batch[1]):
            return super().training_step(batch, batch_idx)  # type: ignore[misc, no-any-return]

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Record what load_backbone and a resumed run need, and keep the file loadable."""
        super().on_save_checkpoint(checkpoint)  # type: ignore[misc]
        for scheduler in checkpoint.get("lr_schedulers", []):
            # SimSiam and NNSiam put a functools.partial there, which torch.load refuses to load.
            scheduler.pop("get_lr", None)
        checkpoint[_RECORD] = self._record()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse a checkpoint of another method or head.

        solo-learn's AutoResumer does not compare method_kwargs, and heads such as "softmax" and
        "self" attention have weights of the same shapes.

        Raises:
            ValueError: If the checkpoint was made with another method or head.
        """
        super().on_load_checkpoint(checkpoint)  # type: ignore[misc]
        saved = {key: checkpoint.get(_RECORD, {}).get(key) for key in ("method", "head")}
        wanted = {key: self._record()[key] for key in saved}
        if saved != wanted:
            raise ValueError(
                f"The checkpoint was made with {saved} and this run has {wanted}; give this run a "
                "`name` of its own, because auto_resume does not compare the heads."
            )

    def _record(self) -> dict[str, Any]:
        return {
            "method": self.cfg.method,
            "head": OmegaConf.to_container(self.cfg.method_kwargs.head, resolve=True),
            "backbone": self.cfg.backbone.name,
            "backbone_kwargs": OmegaConf.to_container(self.cfg.backbone.kwargs, resolve=True),
            "dataset": self.cfg.data.dataset,
        }


@functools.cache
def with_head(method: type) -> type:
    """A subclass of a solo-learn method whose projector is a head of df_heads.

    >>> SimCLRWithHead = with_head(solo.methods.SimCLR)
    >>> SimCLRWithHead(cfg)  # cfg.method_kwargs.head = {"name": "transformer-small"}

    The head has the width of the backbone's features at its input and that of the replaced
    projector at its output, so predictors, queues and prototypes fit. It replaces the whole
    projector, so SimSiam, NNSiam, NNCLR, All4One and MoCo v3 lose the BatchNorm that ends theirs,
    and VIbCReg its IterNorm if it was on. A momentum projector becomes a frozen deep copy that
    never runs dropout. At the same seed the backbone, the predictor, the queue and the order of the
    data are those of the base method.

    Options are read from cfg.method_kwargs.head, see check_head_options. In validation and k-NN
    a batch of single images is one sequence; `z` depends on the other images in it, so evaluate
    `feats`.

    Args:
        method: A subclass of solo.methods.base.BaseMethod that makes a `projector`.

    Raises:
        TypeError: If `method` is no such class.
        ValueError: From the constructor of the returned class, if the method has no projector,
            its width cannot be inferred, or an option of the head is wrong.
    """
    if not issubclass(method, BaseMethod):
        raise TypeError(
            f"{method.__name__} is no solo-learn method; it must be a subclass of "
            "solo.methods.base.BaseMethod."
        )

    def add_and_assert_specific_cfg(cfg: Any) -> Any:
        cfg = method.add_and_assert_specific_cfg(cfg)  # type: ignore[attr-defined]
        given: Any = OmegaConf.to_container(cfg.method_kwargs, resolve=True)
        options = given.get("head") or {}
        if not isinstance(options, dict):
            raise ValueError(
                f"method_kwargs.head={options!r} must hold options; to choose a head write "
                f"method_kwargs.head.name={options}."
            )
        cfg.method_kwargs.head = check_head_options(options)
        return cfg

    members = {
        "__doc__": f"{method.__name__} with a projection head of df_heads.",
        "__module__": __name__,
        "add_and_assert_specific_cfg": staticmethod(add_and_assert_specific_cfg),
    }
    return type(f"{method.__name__}WithHead", (_WithHead, method), members)


def _projector_width(method: Any) -> int:
    name = type(method).__mro__[2].__name__
    projector = getattr(method, "projector", None)
    if not isinstance(projector, nn.Module):
        raise ValueError(
            f"{name} has no projector to replace; the methods that have one are: "
            f"{', '.join(METHOD_NAMES)}."
        )
    linear = [part for part in projector.modules() if isinstance(part, nn.Linear)]
    if not linear:
        raise ValueError(
            f"The output width of {name}'s projector cannot be inferred: it has no nn.Linear."
        )
    return linear[-1].out_features

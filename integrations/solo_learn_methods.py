"""solo-learn's methods with a projection head of df_heads in place of their MLP."""

import copy
import functools
import re
from collections.abc import Callable, Mapping
from importlib import metadata
from typing import Any

import torch
from torch import Tensor, nn

from df_heads.attention import BatchAttention
from df_heads.integrations.solo_learn_joint import joint_views
from df_heads.integrations.solo_learn_options import build_projector, check_head_options

_INSTALL = (
    "PyPI has only 1.0.2, so install it from its repository: pip install 'setuptools<82' "
    "'lightning>=2.4' 'torchmetrics<0.12' hydra-core einops timm scipy scikit-learn tqdm, then "
    "pip install --no-deps --no-build-isolation git+https://github.com/vturrisi/solo-learn"
)
try:
    from omegaconf import OmegaConf
    from solo.methods import METHODS
    from solo.methods.base import BaseMethod
except ImportError as error:
    raise ImportError(
        f"df_heads.integrations.solo_learn needs solo-learn 1.0.6, and importing it failed "
        f"({error}). {_INSTALL}"
    ) from error


def _require_supported(version: str | None, base_method: type) -> None:
    # Run from a clone that is not installed, solo-learn has no version.
    numbers = tuple(int(n) for n in re.findall(r"\d+", version or "1.0.6")[:3])
    has_configs = hasattr(base_method, "add_and_assert_specific_cfg")
    if not (1, 0, 6) <= numbers < (1, 1) or not has_configs:
        found = version if version and has_configs else "an older one"
        raise ImportError(
            "df_heads.integrations.solo_learn supports solo-learn >=1.0.6,<1.1, and "
            f"{found} is installed. {_INSTALL}"
        )


def _installed_version() -> str | None:
    try:
        return metadata.version("solo-learn")
    except metadata.PackageNotFoundError:
        return None


_require_supported(_installed_version(), BaseMethod)

SUFFIX = "_tph"
#: The keys of solo.methods.METHODS whose method has a projector.
METHOD_NAMES = (
    "all4one",
    "barlow_twins",
    "byol",
    "deepclusterv2",
    "mocov2plus",
    "mocov3",
    "nnbyol",
    "nnclr",
    "nnsiam",
    "ressl",
    "simclr",
    "simsiam",
    "supcon",
    "swav",
    "vibcreg",
    "vicreg",
    "wmse",
)
_RECORD = "df_heads"
_replaced_backbones: dict[str, Callable[..., nn.Module]] = {}


class _WithHead:
    """What with_head puts before a solo-learn method."""

    cfg: Any
    features_dim: int
    projector: nn.Module
    momentum_projector: nn.Module

    def __init__(self, cfg: Any) -> None:
        super().__init__(cfg)  # type: ignore[call-arg]
        options = OmegaConf.to_container(self.cfg.method_kwargs.head, resolve=True)
        width = _projector_width(self)
        # What is drawn later, such as the order of the data, stays as with the base method.
        with torch.random.fork_rng(devices=[]):
            self.projector = build_projector(options, self.features_dim, width)
        if hasattr(self, "momentum_projector"):
            self.momentum_projector = _teacher_of(self.projector)

    @property
    def _BACKBONES(self) -> dict[str, Callable[..., nn.Module]]:  # noqa: N802 -- solo-learn's name
        return _by_base_name(super()._BACKBONES)  # type: ignore[misc]

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
        given = OmegaConf.select(cfg, "method_kwargs.head")
        if given is not None and not OmegaConf.is_dict(given):
            raise ValueError(
                f"method_kwargs.head={given!r} must hold options; to choose a head write "
                f"method_kwargs.head.name={given}."
            )
        cfg.method_kwargs.head = check_head_options(
            {} if given is None else OmegaConf.to_container(given, resolve=True)
        )
        return cfg

    members = {
        "__doc__": f"{method.__name__} with a projection head of df_heads.",
        "__module__": __name__,
        "add_and_assert_specific_cfg": staticmethod(add_and_assert_specific_cfg),
    }
    return type(f"{method.__name__}WithHead", (_WithHead, method), members)


def register() -> None:
    """Put `<method>_tph` for each of METHOD_NAMES into solo.methods.METHODS.

    >>> register()
    >>> solo.methods.METHODS["simclr_tph"](cfg)

    Calling it again changes nothing; `unregister` undoes it. The Hydra plugin of this package
    calls it for main_pretrain.py and main_linear.py, the launcher for other scripts.

    Raises:
        RuntimeError: If solo-learn already has something else of such a name; nothing is changed
            then.
    """
    new = {name + SUFFIX: with_head(METHODS[name]) for name in METHOD_NAMES}
    for name, method in new.items():
        if METHODS.get(name, method) is not method:
            raise RuntimeError(
                f"solo.methods.METHODS[{name!r}] already exists and is not df_heads' class; use "
                f"df_heads.integrations.solo_learn.with_head instead of calling register()."
            )
    METHODS.update(new)
    if not _replaced_backbones:
        # main_linear.py looks them up here, with pretrain_method as the name.
        _replaced_backbones.update(BaseMethod._BACKBONES)
        BaseMethod._BACKBONES.update(_by_base_name(BaseMethod._BACKBONES))


def unregister() -> None:
    """Remove from solo-learn what `register` put there, and nothing else."""
    for name in METHOD_NAMES:
        if METHODS.get(name + SUFFIX) is with_head(METHODS[name]):
            del METHODS[name + SUFFIX]
    BaseMethod._BACKBONES.update(_replaced_backbones)
    _replaced_backbones.clear()


def _by_base_name(
    backbones: Mapping[str, Callable[..., nn.Module]],
) -> dict[str, Callable[..., nn.Module]]:
    """Builders for which "mocov3_tph" is "mocov3", which has a ViT of its own."""

    def by_base_name(build: Callable[..., nn.Module]) -> Callable[..., nn.Module]:
        @functools.wraps(build)
        def backbone(method: str | None, *args: Any, **kwargs: Any) -> nn.Module:
            return build(method and method.removesuffix(SUFFIX), *args, **kwargs)

        return backbone

    return {name: by_base_name(build) for name, build in backbones.items()}


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


def _teacher_of(head: nn.Module) -> nn.Module:
    teacher = copy.deepcopy(head).requires_grad_(False)
    # solo-learn leaves teachers in training mode; their targets must not be noisy.
    for part in teacher.modules():
        if isinstance(part, nn.Dropout):
            part.p = 0.0
        elif isinstance(part, BatchAttention):
            part.dropout = 0.0
    return teacher

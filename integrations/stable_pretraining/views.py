"""Which views share a sequence in stable-pretraining's forwards."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, get_args

import torch
from torch import Tensor, nn

from df_heads.integrations.method.base import Views
from df_heads.integrations.method.stand_ins import ByFeatures

Forward = Callable[[Any, dict[str, Any], str], dict[str, Any]]


def with_views(forward: Forward, views: Views) -> Forward:
    """A forward in which `views` means what it means in df_heads' own methods.

    stable-pretraining's simclr, byol, vicreg, barlow_twins, swav and nnclr call the projector once
    for each view, so "separate" is what they do anyway: each view of the batch is a sequence. With
    "joint" all views share one: the backbone sees one view at a time as before, the head runs once
    on all of them, and the forward is handed those results. A teacher does the same.

    Its dino and dinov2 hand all crops of a kind to the projector at once, which no `views` of ours
    is, and "joint" stops with an error there.

    Args:
        forward: Of stable_pretraining.forward, or one of your own in that style.
        views: "separate" or "joint".

    Raises:
        ValueError: If views is neither.
    """
    if views not in get_args(Views):
        raise ValueError(f"views={views!r} is not known; choose 'separate' or 'joint'.")
    return forward if views == "separate" else _Joint(forward)


class _Joint:
    """A forward with joint views; a class, so that it can be pickled for other processes."""

    def __init__(self, forward: Forward) -> None:
        self.forward = forward
        self.__name__ = f"joint_{forward.__name__}"

    def __call__(self, module: Any, batch: dict[str, Any], stage: str) -> dict[str, Any]:
        if not module.training or "views" not in batch:
            return self.forward(module, batch, stage)
        views = batch["views"]
        views = list(views.values()) if isinstance(views, Mapping) else views
        with _joint(module, [view["image"] for view in views]):
            return self.forward(module, batch, stage)


@contextmanager
def _joint(module: Any, views: Sequence[Tensor]) -> Iterator[None]:
    backbone, projector = module.backbone, module.projector
    if _has_teacher(backbone) != _has_teacher(projector):
        raise ValueError(
            "views='joint' needs a TeacherStudentWrapper around backbone and projector, or around "
            "neither."
        )
    if _has_teacher(backbone):
        places = [(backbone, "student", projector, "student")]
        places += [(backbone, "teacher", projector, "teacher")]
    else:
        places = [(module, "backbone", module, "projector")]
    real: list[tuple[nn.Module, str, nn.Module]] = []
    stand_ins: list[nn.Module] = []
    for owner, name, head_owner, head_name in places:
        network, head = getattr(owner, name), getattr(head_owner, head_name)
        with torch.set_grad_enabled(torch.is_grad_enabled() and name != "teacher"):
            features = [network(view) for view in views]
            _check_vectors(features)
            projections = head(torch.cat(features)).split([len(each) for each in features])
        real += [(owner, name, network), (head_owner, head_name, head)]
        stand_ins += [_ByView(views, features), ByFeatures(features, projections)]
    try:
        for (owner, name, _), stand_in in zip(real, stand_ins, strict=True):
            setattr(owner, name, stand_in)
        yield
    finally:
        for owner, name, original in real:
            setattr(owner, name, original)


def _has_teacher(part: nn.Module) -> bool:
    return hasattr(part, "student") and hasattr(part, "teacher")


def _check_vectors(features: Sequence[Any]) -> None:
    for each in features:
        if not isinstance(each, Tensor) or each.dim() != 2:
            found = tuple(each.shape) if isinstance(each, Tensor) else type(each).__name__
            raise ValueError(
                f"views='joint' needs a backbone that gives (N, D) for a view; this one gives "
                f"{found}: add a pooling layer, or use views='separate'."
            )


class _ByView(nn.Module):
    """Stands in for the backbone."""

    def __init__(self, views: Sequence[Tensor], features: Sequence[Tensor]) -> None:
        super().__init__()
        self._known = list(zip(views, features, strict=True))

    def forward(self, images: Tensor, **_: Any) -> Tensor:
        """The features of a view."""
        for view, features in self._known:
            if images is view:
                return features
        raise RuntimeError(
            "views='joint' needs a forward that hands each view to the backbone by itself; this "
            "one joins or changes them first, so use views='separate'."
        )

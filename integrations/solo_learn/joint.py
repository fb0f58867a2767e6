"""Joint views in solo-learn, whose methods call the projector once per view."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from df_heads.integrations.method.stand_ins import ByFeatures


@contextmanager
def joint_views(method: Any, crops: Tensor | Sequence[Tensor]) -> Iterator[None]:
    """Let all views of a batch share one sequence inside the context.

    The backbone sees one view at a time, so its BatchNorm statistics stay per view; the head runs
    once on the concatenation. Inside the context the method's own step is handed those results
    instead of computing them again. The momentum head does the same with the large crops, the
    only ones a teacher sees.

    Args:
        method: A solo-learn method with backbone and projector, and their momentum twins if any.
        crops: The views (N, 3, H, W) as the data loader gives them, large ones first.
    """
    views = [crops] if isinstance(crops, Tensor) else list(crops)
    stand_ins = _run(method, "backbone", "projector", views)
    if hasattr(method, "momentum_projector"):
        with torch.no_grad():
            stand_ins |= _run(
                method, "momentum_backbone", "momentum_projector", views[: method.num_large_crops]
            )
    real = {name: getattr(method, name) for name in stand_ins}
    try:
        for name, stand_in in stand_ins.items():
            setattr(method, name, stand_in)
        yield
    finally:
        for name, module in real.items():
            setattr(method, name, module)


def _run(
    method: Any, backbone: str, projector: str, views: Sequence[Tensor]
) -> dict[str, nn.Module]:
    if not method.no_channel_last:
        views = [view.to(memory_format=torch.channels_last) for view in views]
    features = [getattr(method, backbone)(view) for view in views]
    joined = getattr(method, projector)(torch.cat(features))
    projections = joined.split([len(view) for view in features])
    return {backbone: _InOrder(features), projector: ByFeatures(features, projections)}


class _InOrder(nn.Module):
    """Stands in for the backbone: the step calls it once per view, in their order."""

    def __init__(self, features: Sequence[Tensor]) -> None:
        super().__init__()
        self._features = iter(features)

    def forward(self, _view: Tensor) -> Tensor:
        return next(self._features)

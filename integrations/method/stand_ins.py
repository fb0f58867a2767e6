"""What stands in for a network whose outputs are known already, so that a step takes those."""

from collections.abc import Sequence

from torch import Tensor, nn


class ByFeatures(nn.Module):
    """Stands in for a projector, however often it is called with the features of a view.

    Args:
        features: What the backbone gave for each view.
        projections: What the projector made of them.
    """

    def __init__(self, features: Sequence[Tensor], projections: Sequence[Tensor]) -> None:
        super().__init__()
        self._known = list(zip(features, projections, strict=True))

    def forward(self, features: Tensor) -> Tensor:
        """The projections of a view.

        Raises:
            RuntimeError: If these are not the features of a view.
        """
        for known, projections in self._known:
            if features is known:
                return projections
        raise RuntimeError(
            "views='joint' needs a method that hands the backbone's features to its projector as "
            "they are; this one changes them first, so use views='separate'."
        )

"""Our views of whole batches as stable-pretraining's gpu_transform."""

from typing import Any

from torch import Tensor, nn

from df_heads.augment import TwoViews
from df_heads.augment.two_views import Augment


class TwoViewsInBatch(nn.Module):
    """Turns {"image": images, ...} into {"views": [{"image": view, ...}, {...}]}, on the device.

    >>> train = spt.data.FromTorchDataset(
    ...     pictures, names=["image", "label"], gpu_transform=TwoViewsInBatch(SimCLRAugment(32))
    ... )

    The form is that of stable-pretraining's own MultiViewTransform: both views carry the label, and
    whatever else belongs to the images. For validation give the data set
    `TwoViewsInBatch(SimCLRAugment(32)).normalize`.

    Args:
        augment: Draws one view of each image, such as df_heads.augment.SimCLRAugment.
    """

    def __init__(self, augment: Augment) -> None:
        super().__init__()
        self.two_views = TwoViews(augment)

    def forward(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Draw both views.

        Args:
            batch: With "image", (N, 3, H, W): uint8, or floating point with values in [0, 1].

        Raises:
            TypeError: If it has no such images.
        """
        rest = dict(batch)
        views = self.two_views(_images(rest.pop("image", None)))
        return {"views": [{**rest, "image": view} for view in views]}

    def normalize(self, batch: dict[str, Any]) -> dict[str, Any]:
        """The images as they are, with the values that views have, for evaluation.

        Raises:
            TypeError: If the batch has no images.
        """
        images = _images(batch.get("image"))
        self.to(images.device)
        return {**batch, "image": self.two_views.augment.normalize(images)}


def _images(found: Any) -> Tensor:
    if not isinstance(found, Tensor):
        raise TypeError(
            'A batch must have images (N, 3, H, W) under "image" to draw views of; this one has a '
            f"{type(found).__name__}. If the data set's transform draws views already, leave "
            "gpu_transform out."
        )
    return found

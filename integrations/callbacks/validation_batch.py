"""One fixed labelled batch from the validation set of a Trainer."""

from collections.abc import Sized
from typing import Any

import torch
from pytorch_lightning import Trainer
from torch import Tensor
from torch.utils.data import DataLoader, Subset

# Any fixed number: it makes the batch the same in each run and after a resume.
_SEED = 0


def draw_validation_batch(trainer: Trainer, num_samples: int) -> tuple[Tensor, Tensor]:
    """Images and labels drawn at random from the first validation data set, by a fixed seed.

    They come through the data set's transform and the DataLoader's collate_fn, in this process,
    and leave torch's global random state as it was. Samples of classes that were drawn only once
    are left out.

    Args:
        trainer: During fit.
        num_samples: How many to draw; all if there are fewer.

    Returns:
        Images (n, ...) and labels (n,), on the CPU.

    Raises:
        ValueError: If there is no validation DataLoader with a data set of known length, its
            batches are not (images, labels, ...), or fewer than two classes were drawn twice.
    """
    loader = _first_loader(trainer)
    data: Any = None if loader is None else loader.dataset
    if loader is None or not isinstance(data, Sized) or not len(data):
        raise ValueError(
            "There is no validation DataLoader over a data set of known length to draw images "
            "from; pass images and labels."
        )
    order = torch.randperm(len(data), generator=torch.Generator().manual_seed(_SEED))
    chosen = Subset(loader.dataset, order[:num_samples].tolist())
    batches: list[tuple[Tensor, Tensor]] = []
    # Random transforms draw, and so does a DataLoader when it starts.
    with torch.random.fork_rng(devices=[]):
        for batch in DataLoader(chosen, batch_size=64, collate_fn=loader.collate_fn):
            batches.append(_images_and_labels(batch))
    images = torch.cat([images for images, _ in batches])
    labels = torch.cat([labels for _, labels in batches])
    _, index, counts = torch.unique(labels, return_inverse=True, return_counts=True)
    kept = counts[index] > 1
    classes = int((counts > 1).sum())
    if classes < 2:
        raise ValueError(
            f"{len(labels)} validation images drawn hold {classes} class(es) "
            "with 2 images or more but at least 2 such classes are needed; raise num_samples, or "
            "pass images and labels."
        )
    return images[kept], labels[kept]


def _first_loader(trainer: Trainer) -> DataLoader[Any] | None:
    # trainer.val_dataloaders stays None for modules without a validation_step.
    source = trainer.fit_loop.epoch_loop.val_loop._data_source
    loaders = source.dataloader() if source.is_defined() else None
    while isinstance(loaders, list | tuple) and loaders:
        loaders = loaders[0]
    return loaders if isinstance(loaders, DataLoader) else None


def _images_and_labels(batch: Any) -> tuple[Tensor, Tensor]:
    is_pair = isinstance(batch, list | tuple) and len(batch) >= 2
    if not is_pair or not all(isinstance(part, Tensor) for part in batch[:2]):
        raise ValueError(
            "The validation DataLoader does not give batches of (images, labels, ...) as tensors; "
            "pass images and labels."
        )
    images, labels = batch[:2]
    return images, labels

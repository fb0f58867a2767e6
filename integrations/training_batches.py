"""What the kinds of training batches share: the order of the images, and seeds."""

from collections.abc import Callable
from typing import Any

try:
    from pytorch_lightning import LightningDataModule
except ImportError as error:
    raise ImportError(
        "df_heads.integrations.training_batches needs Lightning: pip install pytorch-lightning"
    ) from error
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, DistributedSampler
from typing_extensions import Required, TypedDict

from df_heads.integrations.inherited_arguments import InheritedArguments


def already_a_batch(batch: Any) -> Any:
    """A collate_fn for data sets that read whole batches."""
    return batch


class BatchOptions(TypedDict, total=False):
    """What a subclass of TrainingBatches takes as ``**options: Unpack[BatchOptions]``."""

    batch_size: Required[int]
    workers: int
    seed: int


class TrainingBatches(InheritedArguments, LightningDataModule):
    """Shuffled full batches, reproducible from the seed alone.

    The order of the images depends on seed and epoch, the views on seed and step: neither on what
    model is trained, nor on whether the run was interrupted.

    Args:
        batch_size: Images per step and device.
        workers: Processes that make batches; 0 makes them in the training process.
        seed: Any integer from 0; the order and the views depend on it.

    Raises:
        ValueError: If batch_size is below 1 or workers below 0.
    """

    def __init__(self, *, batch_size: int, workers: int = 0, seed: int = 0) -> None:
        super().__init__()
        for name, value, least in (("batch_size", batch_size, 1), ("workers", workers, 0)):
            if value < least:
                raise ValueError(f"{name}={value} must be at least {least}.")
        self.batch_size = batch_size
        self.workers = workers
        self.seed = seed

    def loader(
        self,
        dataset: Dataset[Any],
        sampler: type[DistributedSampler[Any]] = DistributedSampler,
        collate_fn: Callable[[Any], Any] = already_a_batch,
    ) -> DataLoader[Any]:
        """A DataLoader over this process's share of the data set."""
        assert self.trainer is not None
        return DataLoader(
            dataset,
            batch_size=self.batch_size,
            # Also for one process: it shuffles by seed + epoch, which Lightning sets.
            sampler=sampler(
                dataset,
                num_replicas=self.trainer.world_size,
                rank=self.trainer.global_rank,
                shuffle=True,
                seed=self.seed,
                drop_last=True,
            ),
            num_workers=self.workers,
            persistent_workers=self.workers > 0,
            pin_memory=torch.cuda.is_available(),
            collate_fn=collate_fn,
            drop_last=True,
        )

    def generator_of_step(self, device: torch.device) -> torch.Generator:
        """The source of this step's views, from seed, step and process."""
        assert self.trainer is not None
        draw = (self.trainer.global_step, self.trainer.global_rank, self.seed)
        generator = torch.Generator(device)
        generator.manual_seed(
            int(np.random.SeedSequence(draw).generate_state(1, np.uint64)[0] >> 1)
        )
        return generator

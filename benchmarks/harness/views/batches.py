"""What the kinds of training batches share: the order of the images, and seeds."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from pytorch_lightning import LightningDataModule
from torch.utils.data import DataLoader, Dataset, DistributedSampler


def already_a_batch(batch: Any) -> Any:
    """A collate_fn for data sets that read whole batches."""
    return batch


class TrainingBatches(LightningDataModule):
    """Shuffled full batches, reproducible from the seed alone.

    The order of the images depends on seed and epoch, the views on seed and step: neither on what
    model is trained, nor on whether the run was interrupted.

    Args:
        batch_size: Images per step and device.
        workers: Processes that make batches; 0 makes them in the training process.
        seed: See above.
    """

    def __init__(self, *, batch_size: int, workers: int = 0, seed: int = 0) -> None:
        super().__init__()
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

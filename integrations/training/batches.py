"""What the kinds of training batches share: the order of the images, and seeds."""

import itertools
import signal
from collections.abc import Callable, Iterator
from typing import Any

try:
    from df_heads.integrations.training.either_lightning import LightningDataModule
except ImportError as error:
    raise ImportError(
        "df_heads.integrations.training.batches needs Lightning: pip install pytorch-lightning"
    ) from error
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, DistributedSampler
from typing_extensions import Required, TypedDict

from df_heads.integrations.method.inherited_arguments import InheritedArguments

#: What is seeded for each step: the views, and what the network draws, as for dropout.
VIEWS, NETWORK = 0, 1


def seed_of_step(seed: int, step: int, rank: int, purpose: int) -> int:
    """A seed of its own for each step of each process of a run, and each purpose."""
    draw = np.random.SeedSequence((step, rank, seed, purpose))
    return int(draw.generate_state(1, np.uint64)[0]) >> 1


class OrderOfRun(DistributedSampler[Any]):
    """Shuffles by seed and epoch, and starts where the run is.

    Where that is it asks itself: worker processes fetch batches before Lightning would tell it the
    epoch, and in the middle of an epoch Lightning would begin the epoch again.

    Args:
        dataset: What to shuffle.
        batch_size: Images in a batch of one device.
        place: Gives the epoch, and its batches that are done.
        options: See DistributedSampler.
    """

    def __init__(
        self,
        dataset: Dataset[Any],
        *,
        batch_size: int,
        place: Callable[[], tuple[int, int]],
        **options: int,
    ) -> None:
        super().__init__(dataset, shuffle=True, drop_last=True, **options)
        self.batch_size = batch_size
        self.place = place

    def __iter__(self) -> Iterator[Any]:
        epoch, batches_done = self.place()
        self.set_epoch(epoch)
        return itertools.islice(super().__iter__(), batches_done * self.batch_size, None)


def already_a_batch(batch: Any) -> Any:
    """A collate_fn for data sets that read whole batches."""
    return batch


def leave_signals_to_the_parent(worker: int) -> None:
    """A worker_init_fn: workers go on until the training process has written its checkpoint.

    A terminal's Ctrl+C and a scheduler's SIGTERM reach all processes at once.
    """
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, signal.SIG_IGN)


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
        self._resumed_at = (0, 0)

    def state_dict(self) -> dict[str, int]:
        """Where a resumed run goes on, for the checkpoint."""
        epoch, batch = self._place_in_run()
        return {"epoch": epoch, "batch": batch}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """Go on where a checkpoint says.

        Lightning lets worker processes fetch batches before it restores the Trainer's own counts.
        """
        self._resumed_at = (state_dict["epoch"], state_dict["batch"])

    def _place_in_run(self) -> tuple[int, int]:
        """The epoch, and its batches that are done."""
        if self.trainer is None:
            return self._resumed_at
        epoch = self.trainer.current_epoch
        batch = self.trainer.fit_loop.epoch_loop.batch_progress.current.ready
        if batch >= self.trainer.num_training_batches:
            epoch, batch = epoch + 1, 0
        return max(self._resumed_at, (epoch, batch))

    def loader(
        self,
        dataset: Dataset[Any],
        sampler: type[OrderOfRun] = OrderOfRun,
        collate_fn: Callable[[Any], Any] = already_a_batch,
    ) -> DataLoader[Any]:
        """A DataLoader over this process's share of the data set."""
        assert self.trainer is not None
        return DataLoader(
            dataset,
            batch_size=self.batch_size,
            sampler=sampler(
                dataset,
                num_replicas=self.trainer.world_size,
                rank=self.trainer.global_rank,
                seed=self.seed,
                batch_size=self.batch_size,
                place=self._place_in_run,
            ),
            num_workers=self.workers,
            persistent_workers=self.workers > 0,
            pin_memory=torch.cuda.is_available(),
            collate_fn=collate_fn,
            worker_init_fn=leave_signals_to_the_parent,
            drop_last=True,
        )

    def generator_of_step(self, device: torch.device) -> torch.Generator:
        """The source of this step's views, from seed, step and process."""
        assert self.trainer is not None
        generator = torch.Generator(device)
        step, rank = self.trainer.global_step, self.trainer.global_rank
        return generator.manual_seed(seed_of_step(self.seed, step, rank, VIEWS))

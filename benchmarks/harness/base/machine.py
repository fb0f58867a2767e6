"""The machine that a run uses."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lightning_utilities.core.rank_zero import rank_zero_only

from df_heads.benchmarks.harness.base.errors import InputError

if TYPE_CHECKING:
    import torch

#: More processes than any machine has use for.
MOST_WORKERS = 1024


@dataclass(frozen=True)
class Machine:
    """What a run uses and its numbers do not depend on, but for rounding.

    Attributes:
        accelerator: "auto", "cpu" or "gpu", as in Lightning's Trainer.
        workers: Processes that gather batches.
        logger: "csv", "tensorboard" or "none".
        progress: Whether to show a progress bar.
        resume: Whether to go on from the checkpoint of an interrupted run.
        checkpoint_minutes: Training lost at most when the process is killed.
    """

    accelerator: str = "auto"
    workers: int = 0
    logger: str = "csv"
    progress: bool = True
    resume: bool = True
    checkpoint_minutes: float = 5.0

    def __post_init__(self) -> None:
        if not 0 <= self.workers <= MOST_WORKERS:
            raise InputError(f"--workers {self.workers} must be from 0 to {MOST_WORKERS}.")
        if not self.checkpoint_minutes > 0:  # not "<=", which lets NaN pass
            raise InputError(
                f"--checkpoint-minutes {self.checkpoint_minutes} must be a number above 0."
            )

    @property
    def device(self) -> "torch.device":
        """Where evaluation runs."""
        import torch

        if self.accelerator == "cpu" or not torch.cuda.is_available():
            return torch.device("cpu")
        return torch.device("cuda")

    def check(self, devices: int) -> None:
        """Raise InputError if this machine does not have the devices asked for."""
        import torch

        if self.accelerator == "gpu" and not torch.cuda.is_available():
            raise InputError("--accelerator gpu: torch finds no GPU here; use cpu or auto.")
        found = torch.cuda.device_count()
        if self.device.type == "cuda" and devices > found:
            raise InputError(f"--devices {devices} is more than the {found} GPUs found here.")


def is_first_process() -> bool:
    """Whether this process, of those that Lightning started, evaluates and writes."""
    return int(getattr(rank_zero_only, "rank", 0)) == 0

"""How wide the feed-forward head must be to take as long as the Transformer head."""

import math
import statistics
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

import torch

from df_heads.benchmarks.harness.base.environment import describe_environment
from df_heads.benchmarks.harness.base.errors import InputError
from df_heads.benchmarks.harness.base.experiment import Experiment
from df_heads.benchmarks.harness.speed.measuring import Pass, time_in_turn
from df_heads.benchmarks.harness.train.models import build_model
from df_heads.integrations.backbones import feature_width

# Tensor cores take widths that are multiples of 8; a finer choice drowns in the noise of timing.
STEP, CLOSENESS = 16, 0.03
WIDEST = 65536
SEARCH_PAIRS, FINAL_PAIRS = 7, 25
_AUTOCAST = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}


@dataclass(frozen=True)
class EqualTime:
    """A width, and how well its time meets the Transformer's.

    Attributes:
        width: Hidden width of the feed-forward head.
        ratios: Its time over the Transformer's, pair by pair.
        place: What it was measured with and on, for which alone it holds.
    """

    width: int
    ratios: list[float]
    place: str

    def __str__(self) -> str:
        return (
            f"--equal-time-dim {self.width}: forward and backward take "
            f"{statistics.median(self.ratios):.2f} times as long as the Transformer head's, median "
            f"of {len(self.ratios)} pairs from {min(self.ratios):.2f} to {max(self.ratios):.2f}, "
            f"{self.place}"
        )


def measure_equal_time(
    feedforward: Experiment, transformer: Experiment, device: torch.device
) -> EqualTime:
    """Find the width at which a step of the feed-forward head takes as long as the Transformer's.

    A step is forward and backward of the head alone, uncompiled, on features of one device's part
    of the batch, in the sequences and the precision of the experiments.

    Args:
        feedforward: The experiment whose hidden_dim is looked for.
        transformer: The one to be as fast as.
        device: Where the runs will be.

    Raises:
        InputError: If a model cannot be built, or no width meets the time.
    """
    if feedforward.precision == "16-mixed" and device.type == "cpu":
        raise InputError("--precision 16-mixed needs a GPU; use bf16-mixed or 32-true on a CPU.")
    reference = head_pass(transformer, device)

    def ratios(width: int, pairs: int) -> list[float]:
        ours = head_pass(replace(feedforward, hidden_dim=width), device)
        return time_ratios(ours, reference, device, pairs)

    width = find_width(lambda width: statistics.median(ratios(width, SEARCH_PAIRS)))
    hardware = describe_environment(device.type, 1).hardware
    place = f"batch size {transformer.batch_size}, {transformer.precision}, on {hardware}"
    return EqualTime(width, ratios(width, FINAL_PAIRS), place)


def find_width(ratio: Callable[[int], float], start: int = 512) -> int:
    """The multiple of 16 whose ratio is nearest to 1, by doubling or halving, then bisection.

    Args:
        ratio: From a width to its time over the wanted one; rises with the width.
        start: First width to try.

    Raises:
        InputError: If there is none from 16 to 65,536.
    """
    seen: dict[int, float] = {}

    def slower(width: int) -> bool:
        seen[width] = ratio(width)
        return seen[width] > 1

    low = high = start
    if slower(start):
        while slower(low := low // 2):
            if low <= STEP:
                raise InputError(
                    f"The feed-forward head takes {seen[low]:.2f} times as long as the Transformer "
                    f"head already at a width of {low}; there is no equal-time cell here."
                )
        high = 2 * low
    else:
        while not slower(high := 2 * high):
            if high >= WIDEST:
                raise InputError(
                    f"The feed-forward head takes only {seen[high]:.2f} times as long as the "
                    f"Transformer head even at a width of {high}; there is no equal-time cell here."
                )
        low = high // 2
    while high - low > max(STEP, CLOSENESS * low):
        middle = (low + high) // 2 // STEP * STEP
        low, high = (low, middle) if slower(middle) else (middle, high)
    return min((low, high), key=lambda width: abs(math.log(seen[width])))


def head_pass(experiment: Experiment, device: torch.device) -> Pass:
    """Forward and backward of an experiment's head, down to the gradient of its features.

    Raises:
        InputError: If its model cannot be built.
    """
    model = build_model(experiment)
    head = model.projection_head.to(device)
    images = experiment.batch_size // experiment.devices
    width = feature_width(model.backbone, experiment.image_size)
    features = [torch.randn(images, width, device=device, requires_grad=True) for _ in range(2)]

    def one_pass() -> None:
        head.zero_grad()
        for view in features:
            view.grad = None
        with _precision(experiment.precision, device):
            projections = model.project(features)
        torch.autograd.backward([z.float().square().mean() for z in projections])

    return one_pass


def time_ratios(first: Pass, second: Pass, device: torch.device, pairs: int) -> list[float]:
    """Time of the first over that of the second, taken in turn so that drift hits both alike."""
    times = time_in_turn({"first": first, "second": second}, device, repeats=pairs)
    return [a / b for a, b in zip(times["first"], times["second"], strict=True)]


def _precision(name: str, device: torch.device) -> AbstractContextManager[None]:
    return torch.autocast(device.type, dtype=_AUTOCAST.get(name), enabled=name in _AUTOCAST)

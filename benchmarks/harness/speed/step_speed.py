"""The whole training step and the views alone, ours beside lightly's and kornia's."""

import importlib.metadata
import importlib.util
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any, cast

from pytorch_lightning import Callback, LightningModule, Trainer

from df_heads.augment import SimCLRAugment
from df_heads.benchmarks.harness.speed import step_rows
from df_heads.benchmarks.harness.speed.compared import (
    BACKBONE,
    COMPARED,
    COMPILED,
    EAGER,
    FAST_BACKBONE,
    KORNIA,
    LIGHTLY,
    LIGHTNING,
)
from df_heads.benchmarks.harness.speed.measuring import summary
from df_heads.benchmarks.harness.speed.step_rows import Setup, TimedSteps
from df_heads.integrations.compiled.indexed_images import IndexedImages
from df_heads.integrations.compiled.simclr import CompiledSimCLR
from df_heads.integrations.training.quiet_lightning import quiet_lightning

Rates = dict[str, list[float]]


def measure_steps(
    setup: Setup, heads: Sequence[str], *, repeats: int, steps: int
) -> dict[str, Any]:
    """Views per second of each way to make a step, for each head, and of the views alone.

    Args:
        setup: Backbone, batch, device and precision; its head is replaced.
        heads: Names of HEAD_PRESETS.
        repeats: Blocks of each way, taken in turn.
        steps: Steps in a block.
    """
    alone = _rates(_views_alone(setup), setup, repeats, steps)
    whole = {}
    for head in heads:
        one = replace(setup, head=head)
        whole[head] = _rates(_whole_steps(one), one, repeats, steps)
    return {
        "backbone": setup.backbone,
        "batch_size": setup.batch_size,
        "precision": setup.precision,
        "workers": setup.workers,
        "repeats": repeats,
        "steps": steps,
        "kornia": _kornia_version(),
        "compiles": setup.device.type == "cuda",
        "views_alone": _content(alone, (LIGHTLY, KORNIA, EAGER)),
        "whole_step": {
            head: _content(rates, (*COMPARED, LIGHTNING)) for head, rates in whole.items()
        },
    }


def _views_alone(setup: Setup) -> dict[str, TimedSteps]:
    blocks = {LIGHTLY: step_rows.lightly_pipeline(setup, train=False)}
    if _kornia_version() is not None:
        blocks[KORNIA] = step_rows.eager(setup, kornia=True, train=False)
    blocks[EAGER] = step_rows.eager(setup, train=False)
    if setup.device.type == "cuda":  # on a CPU they are not compiled
        blocks[COMPILED] = step_rows.compiled(setup, train=False)
    return blocks


def _whole_steps(setup: Setup) -> dict[str, TimedSteps]:
    blocks = {LIGHTLY: step_rows.lightly_pipeline(setup)}
    if _kornia_version() is not None:
        blocks[KORNIA] = step_rows.eager(setup, kornia=True)
    blocks[EAGER] = step_rows.eager(setup)
    blocks[COMPILED] = step_rows.compiled(setup)
    blocks[LIGHTNING] = _in_lightning(setup)
    blocks[BACKBONE] = step_rows.backbone_only(setup, compiled=False)
    blocks[FAST_BACKBONE] = step_rows.backbone_only(setup, compiled=True)
    return blocks


def _rates(blocks: Mapping[str, TimedSteps], setup: Setup, repeats: int, steps: int) -> Rates:
    """Views per second of each repeat of each block, taken in turn, so that drift hits all."""
    for block in blocks.values():
        block(_burn_in(setup))
    views = 2 * setup.batch_size * steps
    rates: Rates = {name: [] for name in blocks}
    for _ in range(repeats):
        for name, block in blocks.items():
            rates[name].append(views / block(steps))
    return rates


def _burn_in(setup: Setup) -> int:
    return 3 if setup.device.type == "cuda" else 1


def _content(rates: Rates, others: Sequence[str]) -> dict[str, Any]:
    ours = COMPILED if COMPILED in rates else EAGER
    ratios = {
        other: statistics.median(
            mine / theirs for mine, theirs in zip(rates[ours], rates[other], strict=True)
        )
        for other in others
        if other in rates and other != ours
    }
    return {
        "views_per_second": {name: asdict(summary(values)) for name, values in rates.items()},
        "ours": ours,
        "ours_over": ratios,
    }


def _kornia_version() -> str | None:
    if importlib.util.find_spec("kornia") is None:
        return None
    return importlib.metadata.version("kornia")


class _Clock(Callback):
    """Seconds from a step to the end of the run."""

    def __init__(self, first: int, wait: Callable[[], None]) -> None:
        self.first, self.wait = first, wait
        self.started = self.seconds = 0.0

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        if trainer.global_step == self.first:
            self.wait()
            self.started = time.perf_counter()

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        if trainer.global_step == trainer.max_steps:
            self.wait()
            self.seconds = time.perf_counter() - self.started


def _in_lightning(setup: Setup) -> TimedSteps:
    augment = SimCLRAugment(step_rows.IMAGE_SIZE, **step_rows.VIEWS)
    model = CompiledSimCLR(setup.backbone, cast(Any, setup.head), learning_rate=0.01)
    burn_in = _burn_in(setup)  # a Trainer starts in every block

    def block(steps: int) -> float:
        clock = _Clock(burn_in, setup.wait)
        quiet_lightning()
        trainer = Trainer(
            max_steps=burn_in + steps,
            accelerator="gpu" if setup.device.type == "cuda" else "cpu",
            devices=1,
            precision=cast(Any, setup.precision),
            logger=False,
            callbacks=[clock],
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        batches = IndexedImages(setup.images, augment, batch_size=setup.batch_size)
        trainer.fit(model, batches)
        return clock.seconds

    return block

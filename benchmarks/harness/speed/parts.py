"""What run_speed.py can measure: each part's flags, measurement, table and figure.

Importing this imports no torch, measuring does.
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from df_heads.benchmarks.harness.base.errors import InputError
from df_heads.benchmarks.harness.plots.drawing import require_matplotlib
from df_heads.benchmarks.harness.speed.part_tables import (
    alarm_table,
    head_table,
    loss_table,
    scaling_table,
    steps_table,
)
from df_heads.benchmarks.harness.speed.scaling_plot import draw_scaling
from df_heads.benchmarks.harness.store.results import ResultFolder
from df_heads.benchmarks.harness.tables.blocks import Block
from df_heads.benchmarks.harness.tables.text import to_terminal

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Part:
    """One thing to measure.

    Attributes:
        help: In a few words.
        flags: Those that decide what is measured; kept with the result.
        measure: From the parsed flags and a device.
        table: Of what was measured.
        draw: Its figure, if it has one: content, file without ending, title to files.
    """

    help: str
    flags: Sequence[str]
    measure: Callable[[argparse.Namespace, "torch.device"], dict[str, Any]]
    table: Callable[[dict[str, Any]], list[Block]]
    draw: Callable[..., Sequence[Path]] | None = None


def _steps(args: argparse.Namespace, device: "torch.device") -> dict[str, Any]:
    from df_heads.benchmarks.harness.speed.step_rows import Setup
    from df_heads.benchmarks.harness.speed.step_speed import measure_steps

    setup = Setup(
        args.backbone, args.heads[0], args.batch_size, device, args.precision, args.workers
    )
    return measure_steps(setup, args.heads, repeats=args.step_repeats, steps=args.steps)


def _alarm(args: argparse.Namespace, device: "torch.device") -> dict[str, Any]:
    from df_heads.benchmarks.harness.speed.alarm_speed import measure_alarm
    from df_heads.benchmarks.harness.speed.step_rows import Setup

    setup = Setup(
        args.backbone, args.heads[-1], args.batch_size, device, args.precision, args.workers
    )
    return measure_alarm(setup, repeats=args.step_repeats)


def _head(args: argparse.Namespace, device: "torch.device") -> dict[str, Any]:
    from df_heads.benchmarks.harness.speed.head_speed import measure_head

    return measure_head(
        args.tokens,
        sorted(set(args.memory_tokens)),
        device,
        repeats=args.repeats,
        precision=args.precision,
    )


def _scaling(args: argparse.Namespace, device: "torch.device") -> dict[str, Any]:
    from df_heads.benchmarks.harness.speed.head_scaling import default_tokens, measure_scaling

    require_matplotlib()
    whole, chunked = default_tokens(device, args.max_tokens)
    return measure_scaling(
        whole, chunked, device, repeats=args.scaling_repeats, precision=args.precision
    )


def _loss(args: argparse.Namespace, device: "torch.device") -> dict[str, Any]:
    from df_heads.benchmarks.harness.speed.loss_speed import measure_losses

    return measure_losses(
        sorted(set(args.loss_samples)),
        device,
        repeats=args.repeats,
        chunk_size=args.loss_chunk_size,
    )


#: Name -> part, in the order in which they run.
PARTS: Mapping[str, Part] = {
    "step": Part(
        "the whole training step and the views alone, beside lightly's pipeline and kornia",
        ("backbone", "heads", "batch_size", "precision", "step_repeats", "steps"),
        _steps,
        steps_table,
    ),
    "alarm": Part(
        "what the alarm for collapsed outputs costs of a step",
        ("backbone", "heads", "batch_size", "precision", "step_repeats"),
        _alarm,
        alarm_table,
    ),
    "head": Part(
        "the head alone against its peers, and its memory",
        ("tokens", "memory_tokens", "precision", "repeats"),
        _head,
        head_table,
    ),
    "head-scaling": Part(
        "the head over more and more samples, up to 65,536",
        ("max_tokens", "precision", "scaling_repeats"),
        _scaling,
        scaling_table,
        draw_scaling,
    ),
    "loss": Part(
        "NT-Xent in row chunks against lightly's",
        ("loss_samples", "loss_chunk_size", "repeats"),
        _loss,
        loss_table,
    ),
}


def flags_of(part: Part, args: argparse.Namespace) -> dict[str, Any]:
    """The flags that decide a part's measurement, as plain data."""
    return {name: getattr(args, name) for name in part.flags}


def result_file(name: str, device: str) -> str:
    """The result file of a part on a kind of device."""
    return f"speed-{name}-{device}.json"


def stored_table(
    name: str, args: argparse.Namespace, results: ResultFolder, device: str
) -> list[Block]:
    """What a part's result file says; nothing without one.

    Raises:
        InputError: If the file is damaged, or was made with other flags.
    """
    part = PARTS[name]
    content = results.load_file(result_file(name, device))
    if content is None:
        return []
    file = results.path / result_file(name, device)
    made_with = content.get("flags")
    wanted = flags_of(part, args)
    if wanted.get("precision", ...) is None and isinstance(made_with, dict):
        wanted["precision"] = made_with.get("precision")  # not given: the device chose
    if made_with != wanted:
        raise InputError(
            f"{file} was made with the flags {made_with}, not {wanted}: give the same, or another "
            "--out-dir."
        )
    try:
        blocks = part.table(content)
        to_terminal(blocks)  # a number that is none shows only where it is written
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise InputError(
            f"{file} is damaged ({error!r}); move it away to measure again."
        ) from error
    return blocks

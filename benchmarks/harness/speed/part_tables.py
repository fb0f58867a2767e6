"""The tables of what was measured; importing this imports no torch."""

from collections.abc import Mapping
from typing import Any

from df_heads.benchmarks.harness.speed.compared import (
    BACKBONE,
    FAST_BACKBONE,
    HEAD_DIM,
    NARROW_HEAD_DIM,
    OURS,
)
from df_heads.benchmarks.harness.tables.blocks import Block, Cell, Paragraph, Table
from df_heads.benchmarks.harness.tables.values import Duration, Number, Range

CIFAR_VIEWS = 100_000  # two views of each of CIFAR's training images
EPOCHS = 1000  # the paper's
SCALING = (
    "Time and peak memory of one forward and backward pass of the small head over the number of "
    "samples, on logarithmic axes, with the fitted slopes: 1 is linear, 2 is quadratic."
)
RATIOS = "Ratios are medians, pair by pair: above 1 ours is faster."
NOT_COMPILED = (
    "On a CPU nothing of the compiled step is compiled, as Inductor's code was no faster: there it "
    "is the same step with tiny maps as matrix products, NT-Xent in row chunks and a fused update."
)


def steps_table(content: Mapping[str, Any]) -> list[Block]:
    """What `measure_steps` returns."""
    intro = (
        f"{content['backbone']}, images of 32 x 32, {content['batch_size']} images a step "
        f"({2 * content['batch_size']} views), {content['precision']}; lightly's pipeline with "
        f"{content['workers']} workers. Median of {content['repeats']} blocks of "
        f"{content['steps']} step{'s' * (content['steps'] > 1)}, taken in turn. {RATIOS}"
    )
    blocks: list[Block] = [
        Paragraph(intro),
        Paragraph("The views alone:"),
        _step_table(content["views_alone"], epochs=False),
    ]
    for head, whole in content["whole_step"].items():
        blocks += [Paragraph(f"The whole step with {head}:"), _step_table(whole, epochs=True)]
    if not content["compiles"]:
        blocks.append(Paragraph(NOT_COMPILED))
    if content["kornia"] is None:
        blocks.append(
            Paragraph("kornia is not installed here, so it was not run: pip install kornia.")
        )
    return blocks


def _step_table(measured: Mapping[str, Any], *, epochs: bool) -> Table:
    headings = ["", "views/s", "range", f"speed of {measured['ours']} over it"]
    if epochs:
        headings.append(f"{EPOCHS} epochs of CIFAR, computed")
    rows: list[list[Cell]] = []
    for name, rate in measured["views_per_second"].items():
        row: list[Cell] = [
            name,
            Number(rate["median"], ",.0f"),
            Range(rate["low"], rate["high"], ",.0f"),
            Number(measured["ours_over"].get(name), ".2f"),
        ]
        if epochs:
            trains = name not in (BACKBONE, FAST_BACKBONE)
            row.append(Duration(EPOCHS * CIFAR_VIEWS / rate["median"] if trains else None))
        rows.append(row)
    return Table(headings, rows)


def alarm_table(content: Mapping[str, Any]) -> list[Block]:
    """What `measure_alarm` returns."""
    rows: list[list[Cell]] = [
        [name, Number(timing["median"], ".2f"), Range(timing["low"], timing["high"], ".2f")]
        for name, timing in content["milliseconds"].items()
    ]
    share = 100 * content["share"]
    return [
        Paragraph(
            f"{content['backbone']} with {content['head']}, {content['batch_size']} images of "
            f"32 x 32, {content['precision']}. Median of {content['repeats']}, taken in turn."
        ),
        Table(["", "ms", "range"], rows),
        Paragraph(
            f"The alarm looks at each of the first {content['first_steps']} steps, {share:.2f} % "
            f"of one, and then at every {content['every']}th: {share / content['every']:.3f} % of "
            "the training."
        ),
    ]


def head_table(content: dict[str, Any]) -> list[Block]:
    """What `measure_head` returns."""
    times: list[list[Cell]] = [
        [
            name,
            Number(timing["median"], ".1f"),
            Range(timing["low"], timing["high"], ".1f"),
            # In the file it is of times.
            Number(None if name.startswith(OURS) else 1 / content["ratio"][name], ".2f"),
        ]
        for name, timing in content["milliseconds"].items()
    ]
    peaks: list[list[Cell]] = [
        [samples, Number(peak, ".0f"), Number(peak / int(samples) * 1024, ".1f")]
        for samples, peak in content["memory_mib"].items()
    ]
    return [
        Paragraph(backends_line(content)),
        Paragraph(
            f"Equal weights; wide: heads of {HEAD_DIM}, narrow: of {NARROW_HEAD_DIM}. {RATIOS}"
        ),
        Table(["head", "ms", "range", "speed of ours over it"], times),
        Paragraph("Peak memory of one pass beyond the weights:"),
        Table(["samples", "MiB", "KiB per sample"], peaks),
        Paragraph(f"log-log slope: {content['memory_slope']:.2f} (1 is linear, 2 is quadratic)"),
    ]


def backends_line(content: dict[str, Any]) -> str:
    """A sentence of what `measure_backends` returns."""
    times = ", ".join(f"{name} {value:.1f} ms" for name, value in content["backends"].items())
    return f"Kernels of attention: {times}; ran: {', '.join(content['ran'])}."


def scaling_table(content: dict[str, Any]) -> list[Block]:
    """What `measure_scaling` returns."""
    rows: list[list[Cell]] = [
        [
            name,
            Number(tokens, ","),
            Number(timing["median"], ".1f"),
            Range(timing["low"], timing["high"], ".1f"),
            Number(peak, ".0f"),
        ]
        for name, curve in content["curves"].items()
        for tokens, timing, peak in zip(
            curve["tokens"], curve["milliseconds"], curve["memory_mib"], strict=True
        )
    ]
    lines = [
        line
        for name, curve in content["curves"].items()
        for line in (
            f"{name}: {backends_line(curve)}",
            f"{name}: log-log slope of time {curve['time_slope']:.2f}, of memory "
            f"{curve['memory_slope']:.2f} (1 is linear, 2 is quadratic)",
        )
    ]
    return [Table(["", "samples", "ms", "range", "MiB"], rows), Paragraph(*lines)]


def scaling_seen(content: dict[str, Any]) -> str:
    """What is to be seen in the drawing of what `measure_scaling` returns."""
    curves = (
        f"{name} from {curve['milliseconds'][0]['median']:,.0f} ms and "
        f"{curve['memory_mib'][0]:,.0f} MiB at {curve['tokens'][0]:,} samples to "
        f"{curve['milliseconds'][-1]['median']:,.0f} ms and {curve['memory_mib'][-1]:,.0f} MiB at "
        f"{curve['tokens'][-1]:,}"
        for name, curve in content["curves"].items()
    )
    return f"Rising lines: {'; '.join(curves)}."


def loss_table(content: dict[str, Any]) -> list[Block]:
    """What `measure_losses` returns."""
    rows: list[list[Cell]] = [
        [
            name,
            Number(samples),
            Number(timing["median"], ".1f"),
            Range(timing["low"], timing["high"], ".1f"),
            Number(peak, ".0f"),
        ]
        for name, loss in content["losses"].items()
        for samples, timing, peak in zip(
            content["samples"], loss["milliseconds"], loss["memory_mib"], strict=True
        )
    ]
    slopes = [
        f"{name}: log-log slope of time {loss['time_slope']:.2f}, of memory "
        f"{loss['memory_slope']:.2f} (1 is linear, 2 is quadratic)"
        for name, loss in content["losses"].items()
    ]
    headings = ["NT-Xent", "samples (2N)", "ms", "range", "peak MiB"]
    return [Table(headings, rows), Paragraph(*slopes)]

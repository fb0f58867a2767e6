"""The text of a speed measurement, from the content of its result file."""

import argparse
from collections.abc import Mapping
from typing import Any

from df_heads.benchmarks.harness.errors import InputError
from df_heads.benchmarks.harness.report import NOT_RUN, markdown_table
from df_heads.benchmarks.harness.results import ResultFolder


def head_file(device: str) -> str:
    """The result file of --head on a kind of device."""
    return f"speed-head-{device}.json"


def head_table(args: argparse.Namespace, results: ResultFolder, device: str) -> str:
    """What was measured with these flags of run_speed.py --head; "not run" without its file.

    Raises:
        InputError: If the file is damaged, or of another budget than the flags'.
    """
    content = results.load_file(head_file(device))
    if content is None:
        return NOT_RUN
    file = results.path / head_file(device)
    try:
        measured = {
            "tokens": content["tokens"],
            "repeats": content["repeats"],
            "memory_tokens": sorted(map(int, content["memory_mib"])),
        }
        text = head_text(content)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(
            f"{file} is damaged ({error!r}); move it away to measure again."
        ) from error
    asked = {**vars(args), "memory_tokens": sorted(set(args.memory_tokens))}
    for name, value in measured.items():
        if asked[name] != value:
            raise InputError(
                f"{file} was made with {name}={value}, not {asked[name]}: give its flags, or "
                "another --out-dir."
            )
    return text


def head_text(content: Mapping[str, Any]) -> str:
    """What run_speed.py --head measured: time beside a peer's, and memory over the samples."""
    # Files written before the numbers of parameters were kept have none.
    parameters = content.get("parameters", {})
    times = [
        [
            name,
            *([f"{parameters[name]:,}"] if parameters else []),
            f"{timing['median']:.1f}",
            f"{timing['low']:.1f} to {timing['high']:.1f}",
        ]
        for name, timing in content["milliseconds"].items()
    ]
    header = ["head", *(["parameters"] if parameters else []), "ms", "range"]
    memory = [
        [samples, f"{peak:.0f}", f"{peak / int(samples) * 1024:.1f}"]
        for samples, peak in content["memory_mib"].items()
    ]
    return "\n\n".join(
        [
            f"Forward and backward, {content['tokens']} samples, small head, float32, median of "
            f"{content['repeats']} in turn:",
            markdown_table(header, times),
            f"df-heads / x-transformers, pair by pair: median {content['ratio']:.3f}",
            "Peak memory of one pass beyond the weights:",
            markdown_table(["samples", "MiB", "KiB per sample"], memory),
            f"log-log slope: {content['memory_slope']:.2f} (1 is linear, 2 is quadratic)",
        ]
    )

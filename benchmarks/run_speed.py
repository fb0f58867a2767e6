"""How fast things are on this machine.

    python benchmarks/run_speed.py --head    # the head against x-transformers, and its memory
    python benchmarks/run_speed.py --loss    # NT-Xent in row chunks against lightly's, and memory

Compared things run in turn, so that a machine that slows down slows them all; medians are shown
with their range.
"""

import argparse
import statistics
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from df_heads.benchmarks.harness.cli import run_script
from df_heads.benchmarks.harness.environment import describe_environment
from df_heads.benchmarks.harness.errors import InputError
from df_heads.benchmarks.harness.head_speed import (
    build_ours,
    build_x_transformers,
    our_pass,
    time_alternately,
)
from df_heads.benchmarks.harness.loss_speed import loss_table, measure_losses
from df_heads.benchmarks.harness.measuring import log_slope, peak_memory, summary
from df_heads.benchmarks.harness.report import markdown_table
from df_heads.benchmarks.harness.results import ResultFolder, write_json


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--head", action="store_true", help="the head alone")
    parser.add_argument("--loss", action="store_true", help="NT-Xent alone")
    parser.add_argument(
        "--tokens", type=int, default=1024, help="samples of the timed pass (default: %(default)s)"
    )
    parser.add_argument(
        "--memory-tokens",
        type=int,
        nargs="+",
        default=[1024, 2048, 4096, 8192],
        help="samples of the passes whose memory is measured (default: 1024 2048 4096 8192)",
    )
    parser.add_argument(
        "--loss-samples",
        type=int,
        nargs="+",
        default=[2048, 4096, 8192],
        help="projections in the loss, two for each image (default: 2048 4096 8192)",
    )
    parser.add_argument(
        "--loss-chunk-size", type=int, default=1024, help="rows at a time (default: %(default)s)"
    )
    parser.add_argument("--repeats", type=int, default=15, help="default: %(default)s")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--out-dir", type=Path, default=Path("runs"), help="default: %(default)s")
    args = parser.parse_args(arguments)
    if not (args.head or args.loss):
        parser.error("choose what to measure: --head, --loss")
    if min([args.tokens, args.repeats, args.loss_chunk_size, *args.memory_tokens]) < 1:
        parser.error("--tokens, --memory-tokens, --loss-chunk-size, --repeats: at least 1 each")
    if len(set(args.memory_tokens)) < 2 or len(set(args.loss_samples)) < 2:
        parser.error("--memory-tokens and --loss-samples need two different numbers for a slope")
    if any(n < 4 or n % 2 for n in args.loss_samples):
        parser.error("--loss-samples must be even and at least 4: two views of each image")
    return args


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print and write a result file for each thing measured."""
    args = parse(arguments)
    results = ResultFolder(args.out_dir)
    if args.device == "cuda" and not torch.cuda.is_available():
        raise InputError("--device cuda: torch finds no GPU here; use cpu or auto.")
    cuda = args.device != "cpu" and torch.cuda.is_available()
    device = torch.device("cuda" if cuda else "cpu")
    if args.head:
        _store("head", _measure_head(args, device), results, device)
    if args.loss:
        samples = sorted(set(args.loss_samples))
        content = measure_losses(
            samples, device, repeats=args.repeats, chunk_size=args.loss_chunk_size
        )
        print(f"NT-Xent, forward and backward, float32, {device.type}:\n")
        print(loss_table(content))
        _store("loss", content, results, device)
    return 0


def _store(what: str, content: dict[str, Any], results: ResultFolder, device: torch.device) -> None:
    file = results.path / f"speed-{what}-{device.type}.json"
    write_json(file, {**content, "environment": describe_environment(device.type, 1)})
    print(f"\nResult: {file}\n")


def _measure_head(args: argparse.Namespace, device: torch.device) -> dict[str, Any]:
    modules = {"df-heads": build_ours(), "x-transformers, flash": build_x_transformers()}
    times = time_alternately(modules, args.tokens, device=device, repeats=args.repeats)
    ratio = statistics.median(
        a / b for a, b in zip(times["df-heads"], times["x-transformers, flash"], strict=True)
    )
    rows = []
    for name, values in times.items():
        timing = summary(values)
        parameters = sum(p.numel() for p in modules[name].parameters())
        spread = f"{timing.low:.1f} to {timing.high:.1f}"
        rows.append([name, f"{parameters:,}", f"{timing.median:.1f}", spread])
    print(f"Forward and backward, {args.tokens} samples, small head, float32, {device.type}:\n")
    print(markdown_table(["head", "parameters", "ms", "range"], rows))
    print(f"\ndf-heads / x-transformers, pair by pair: median {ratio:.3f}\n")

    tokens = sorted(set(args.memory_tokens))
    peaks = peak_memory(our_pass, tokens, device)
    slope = log_slope(tokens, peaks)
    print("Peak memory of one pass beyond the weights:\n")
    cells = [
        [str(n), f"{peak:.0f}", f"{peak / n * 1024:.1f}"]
        for n, peak in zip(tokens, peaks, strict=True)
    ]
    print(markdown_table(["samples", "MiB", "KiB per sample"], cells))
    print(f"\nlog-log slope: {slope:.2f} (1 is linear, 2 is quadratic)")

    return {
        "tokens": args.tokens,
        "repeats": args.repeats,
        "milliseconds": {name: asdict(summary(values)) for name, values in times.items()},
        "ratio": ratio,
        "memory_mib": dict(zip(map(str, tokens), peaks, strict=True)),
        "memory_slope": slope,
    }


if __name__ == "__main__":
    sys.exit(run_script(main))

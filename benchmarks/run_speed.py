"""How fast things are on this machine.

    python benchmarks/run_speed.py --head    # the head against x-transformers, and its memory

Compared things run in turn, so that a machine that slows down slows them all; medians are shown
with their range.
"""

import argparse
import math
import statistics
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import torch

from df_heads.benchmarks.harness.cli import run_script
from df_heads.benchmarks.harness.environment import describe_environment
from df_heads.benchmarks.harness.errors import InputError
from df_heads.benchmarks.harness.head_speed import (
    build_ours,
    build_x_transformers,
    peak_memory,
    summary,
    time_alternately,
)
from df_heads.benchmarks.harness.results import ResultFolder, write_json
from df_heads.benchmarks.harness.speed_table import head_file, head_table, head_text


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--head", action="store_true", help="the head alone")
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
    parser.add_argument("--repeats", type=int, default=15, help="default: %(default)s")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--out-dir", type=Path, default=Path("runs"), help="default: %(default)s")
    args = parser.parse_args(arguments)
    if not args.head:
        parser.error("choose what to measure: --head")
    if min([args.tokens, args.repeats, *args.memory_tokens]) < 1:
        parser.error("--tokens, --memory-tokens and --repeats must be at least 1")
    if len(set(args.memory_tokens)) < 2:
        parser.error("--memory-tokens needs two different numbers, to see the growth")
    return args


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print and write one result file."""
    args = parse(arguments)
    results = ResultFolder(args.out_dir)
    if args.device == "cuda" and not torch.cuda.is_available():
        raise InputError("--device cuda: torch finds no GPU here; use cpu or auto.")
    cuda = args.device != "cpu" and torch.cuda.is_available()
    device = torch.device("cuda" if cuda else "cpu")

    modules = {"df-heads": build_ours(), "x-transformers, flash": build_x_transformers()}
    times = time_alternately(modules, args.tokens, device=device, repeats=args.repeats)
    ratio = statistics.median(
        a / b for a, b in zip(times["df-heads"], times["x-transformers, flash"], strict=True)
    )
    tokens = sorted(set(args.memory_tokens))
    peaks = peak_memory(tokens, device)
    content = {
        "tokens": args.tokens,
        "repeats": args.repeats,
        "parameters": {
            name: sum(p.numel() for p in module.parameters()) for name, module in modules.items()
        },
        "milliseconds": {name: asdict(summary(values)) for name, values in times.items()},
        "ratio": ratio,
        "memory_mib": dict(zip(map(str, tokens), peaks, strict=True)),
        "memory_slope": log_slope(tokens, peaks),
        "environment": describe_environment(device.type, 1),
    }
    file = results.path / head_file(device.type)
    write_json(file, content)
    print(f"\n{head_text(content)}\n\nResult: {file}")
    return 0


def table(args: argparse.Namespace, results: ResultFolder) -> str:
    """The text of --head, from its result file."""
    cuda = args.device == "cuda" or (args.device == "auto" and torch.cuda.is_available())
    return head_table(args, results, "cuda" if cuda else "cpu")


def log_slope(tokens: Sequence[int], peaks: Sequence[float]) -> float:
    """Slope of the least-squares line through log(peak) over log(tokens)."""
    x, y = [math.log(n) for n in tokens], [math.log(peak) for peak in peaks]
    return statistics.linear_regression(x, y).slope


if __name__ == "__main__":
    sys.exit(run_script(main))

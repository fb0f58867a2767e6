"""How fast things are on this machine.

    python benchmarks/run_speed.py --head            # the head against its peers, and its memory
    python benchmarks/run_speed.py --head-scaling    # its time and memory up to 65,536 samples
    python benchmarks/run_speed.py --loss            # NT-Xent in row chunks against lightly's

Compared things run in turn, so that a machine that slows down slows them all; medians are shown
with their range.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from df_heads.benchmarks.harness.cli import run_script
from df_heads.benchmarks.harness.environment import describe_environment
from df_heads.benchmarks.harness.errors import InputError
from df_heads.benchmarks.harness.head_scaling import (
    default_tokens,
    measure_scaling,
    scaling_table,
)
from df_heads.benchmarks.harness.head_speed import head_table, measure_head
from df_heads.benchmarks.harness.loss_speed import loss_table, measure_losses
from df_heads.benchmarks.harness.plots import require_matplotlib
from df_heads.benchmarks.harness.results import ResultFolder, write_json
from df_heads.benchmarks.harness.scaling_plot import draw_scaling


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--head", action="store_true", help="the head alone")
    parser.add_argument(
        "--head-scaling", action="store_true", help="the head over more and more samples"
    )
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
        "--max-tokens",
        type=int,
        help="stop the scaling here (default: 65536; on a CPU 8192 in one sequence)",
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
    parser.add_argument(
        "--precision",
        choices=("32-true", "bf16-mixed"),
        default="32-true",
        help="of the head (default: %(default)s)",
    )
    parser.add_argument("--repeats", type=int, default=15, help="default: %(default)s")
    parser.add_argument(
        "--scaling-repeats", type=int, default=3, help="of --head-scaling (default: %(default)s)"
    )
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--out-dir", type=Path, default=Path("runs"), help="default: %(default)s")
    args = parser.parse_args(arguments)
    if not (args.head or args.head_scaling or args.loss):
        parser.error("choose what to measure: --head, --head-scaling, --loss")
    counts = [args.tokens, args.repeats, args.scaling_repeats, args.loss_chunk_size]
    if min(counts + args.memory_tokens) < 1:
        parser.error("tokens, repeats and the chunk size must be at least 1")
    if len(set(args.memory_tokens)) < 2 or len(set(args.loss_samples)) < 2:
        parser.error("--memory-tokens and --loss-samples need two different numbers for a slope")
    if args.max_tokens is not None and args.max_tokens < 8192:
        parser.error("--max-tokens must be at least 8192: a slope needs two sizes of each kind")
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
        content = measure_head(
            args.tokens,
            sorted(set(args.memory_tokens)),
            device,
            repeats=args.repeats,
            precision=args.precision,
        )
        print(f"Small head, forward and backward, {args.tokens} samples, {_where(args, device)}:\n")
        print(head_table(content))
        _store("head", content, results, device)
    if args.head_scaling:
        require_matplotlib()
        whole, chunked = default_tokens(device, args.max_tokens)
        content = measure_scaling(
            whole, chunked, device, repeats=args.scaling_repeats, precision=args.precision
        )
        print(f"Small head, forward and backward, {_where(args, device)}:\n")
        print(scaling_table(content))
        stem = results.path / f"speed-head-scaling-{device.type}"
        for file in draw_scaling(content, stem, title=_where(args, device)):
            print(f"\nFigure: {file}")
        _store("head-scaling", content, results, device)
    if args.loss:
        samples = sorted(set(args.loss_samples))
        content = measure_losses(
            samples, device, repeats=args.repeats, chunk_size=args.loss_chunk_size
        )
        print(f"NT-Xent, forward and backward, float32, {device.type}:\n")
        print(loss_table(content))
        _store("loss", content, results, device)
    return 0


def _where(args: argparse.Namespace, device: torch.device) -> str:
    return f"{args.precision}, {device.type}"


def _store(what: str, content: dict[str, Any], results: ResultFolder, device: torch.device) -> None:
    file = results.path / f"speed-{what}-{device.type}.json"
    write_json(file, {**content, "environment": describe_environment(device.type, 1)})
    print(f"\nResult: {file}\n")


if __name__ == "__main__":
    sys.exit(run_script(main))

"""How fast things are on this machine.

    python benchmarks/run_speed.py --quick     # everything, in minutes
    python benchmarks/run_speed.py             # everything
    python benchmarks/run_speed.py --parts step --precision 32-true

Compared things run in turn, so that a machine that slows down slows them all; medians are shown
with their range.
"""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

import msgspec

from df_heads import HEAD_PRESETS
from df_heads.benchmarks.harness.base.environment import describe_environment
from df_heads.benchmarks.harness.base.errors import InputError
from df_heads.benchmarks.harness.base.experiment import PRECISIONS
from df_heads.benchmarks.harness.base.machine import MOST_WORKERS
from df_heads.benchmarks.harness.base.precision import fast_precision
from df_heads.benchmarks.harness.plan.benchmark import Benchmark, Drawn, FullRun, question_of
from df_heads.benchmarks.harness.plan.flags import folder, names, run_script
from df_heads.benchmarks.harness.plan.topics import Topic
from df_heads.benchmarks.harness.speed.part_tables import SCALING, scaling_seen
from df_heads.benchmarks.harness.speed.parts import PARTS, flags_of, result_file, stored_table
from df_heads.benchmarks.harness.store.files import write_json
from df_heads.benchmarks.harness.store.results import ResultFolder
from df_heads.benchmarks.harness.tables.blocks import Block, Paragraph
from df_heads.benchmarks.harness.tables.text import to_terminal
from df_heads.benchmarks.harness.tables.values import NOT_RUN

if TYPE_CHECKING:
    import torch

#: Fewer passes, still enough for a median and a range, and smaller sizes where they take long.
QUICK: Mapping[str, Any] = {
    "steps": 1,
    "step_repeats": 4,
    "repeats": 3,
    "memory_tokens": [1024, 4096],
    "max_tokens": 8192,
    "loss_samples": [1024, 4096],
}


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.epilog = "parts:\n" + "\n".join(f"  {n:13} {part.help}" for n, part in PARTS.items())
    parser.add_argument(
        "--parts", nargs="+", choices=list(PARTS), default=list(PARTS), help="default: all"
    )
    parser.add_argument(
        "--quick", action="store_true", help="fewer passes: under 5 minutes on 2 CPU cores"
    )
    parser.add_argument(
        "--table-only", action="store_true", help="measure nothing; print what was measured"
    )
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument(
        "--precision",
        choices=[name for name in PRECISIONS if name != "16-mixed"],
        help="of the step and the head (default: bf16-mixed where the device has units for it, on "
        "a CPU AMX or AVX512-BF16; otherwise 32-true)",
    )
    parser.add_argument("--out-dir", type=folder, default=Path("runs"), help="default: %(default)s")

    step = parser.add_argument_group("step")
    step.add_argument("--backbone", default="resnet18", help="a timm model (default: %(default)s)")
    step.add_argument(
        "--heads",
        nargs="+",
        type=names(tuple(HEAD_PRESETS)),
        metavar="NAME",
        default=["feedforward-small", "transformer-small"],
        help="default: feedforward-small transformer-small",
    )
    step.add_argument("--batch-size", type=int, default=256, help="images (default: %(default)s)")
    step.add_argument("--steps", type=int, default=10, help="in a block (default: %(default)s)")
    step.add_argument(
        "--step-repeats", type=int, default=5, help="blocks of each way (default: %(default)s)"
    )
    step.add_argument(
        "--workers",
        type=int,
        default=os.cpu_count() or 1,
        help="processes of lightly's pipeline (default: one for each core)",
    )

    head = parser.add_argument_group("head and loss")
    head.add_argument("--repeats", type=int, default=15, help="default: %(default)s")
    head.add_argument(
        "--tokens", type=int, default=1024, help="samples of the timed pass (default: %(default)s)"
    )
    head.add_argument(
        "--memory-tokens",
        type=int,
        nargs="+",
        default=[1024, 2048, 4096, 8192],
        help="samples of the passes whose memory is measured (default: 1024 2048 4096 8192)",
    )
    head.add_argument(
        "--max-tokens",
        type=int,
        help="stop the scaling here (default: 65536); on a CPU one sequence has at most 8192",
    )
    head.add_argument(
        "--scaling-repeats", type=int, default=3, help="of the scaling (default: %(default)s)"
    )
    head.add_argument(
        "--loss-samples",
        type=int,
        nargs="+",
        default=[2048, 4096, 8192],
        help="projections in the loss, two for each image (default: 2048 4096 8192)",
    )
    head.add_argument(
        "--loss-chunk-size", type=int, default=1024, help="rows at a time (default: %(default)s)"
    )
    if "--quick" in (sys.argv[1:] if arguments is None else arguments):
        parser.set_defaults(**QUICK)
    args = parser.parse_args(arguments)
    _check(parser, args)
    return args


def _check(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    counts = ("tokens", "repeats", "scaling_repeats", "loss_chunk_size", "steps", "step_repeats")
    for name in (*counts, "workers"):
        if getattr(args, name) < 1:
            parser.error(f"--{name.replace('_', '-')} must be at least 1")
    if args.workers > MOST_WORKERS:
        parser.error(f"--workers must be at most {MOST_WORKERS}")
    if args.batch_size < 2:
        parser.error("--batch-size must be at least 2")
    if min(args.memory_tokens) < 1:
        parser.error("--memory-tokens must be at least 1")
    if len(set(args.memory_tokens)) < 2 or len(set(args.loss_samples)) < 2:
        parser.error("--memory-tokens and --loss-samples need two different numbers for a slope")
    if args.max_tokens is not None and args.max_tokens < 8192:
        parser.error("--max-tokens must be at least 8192: a slope needs two sizes of each kind")
    if any(n < 4 or n % 2 for n in args.loss_samples):
        parser.error("--loss-samples must be even and at least 4: two views of each image")


def table(args: argparse.Namespace, results: ResultFolder) -> list[Block]:
    """What was measured with these flags on this kind of device, from the result files."""
    kind = _device(args).type if args.device == "auto" else args.device
    measured = {name: stored_table(name, args, results, kind) for name in args.parts}
    if not any(measured.values()):
        return [Paragraph(NOT_RUN)]
    blocks: list[Block] = []
    for name, found in measured.items():
        blocks += [Paragraph(f"{name}:" if found else f"{name}: {NOT_RUN}"), *found]
    return blocks


def files(args: argparse.Namespace) -> list[str]:
    """The result file of each part."""
    kind = _device(args).type if args.device == "auto" else args.device
    return [result_file(name, kind) for name in args.parts]


def figures(args: argparse.Namespace, results: ResultFolder) -> list[Drawn]:
    """The figures of the parts that draw one and were measured, in words."""
    found: list[Drawn] = []
    for name, file in zip(args.parts, files(args), strict=True):
        content = results.load_file(file) if PARTS[name].draw is not None else None
        if content is not None:
            found.append(Drawn(f"{PurePath(file).stem}.png", SCALING, scaling_seen(content)))
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print and write a result file and a figure for each part."""
    args = parse(arguments)
    if "step" in args.parts and not args.table_only:
        _require_backbone(args.backbone)
    results = ResultFolder(args.out_dir)
    device = _device(args)
    if args.precision is None and not args.table_only:
        args.precision = fast_precision(device)
        print(f"precision: {args.precision}, by the units of the device", file=sys.stderr)
    codes = [0]
    for name in [] if args.table_only else args.parts:
        print(f"measuring: {PARTS[name].help}", file=sys.stderr, flush=True)
        try:
            _measure(name, args, results, device)
        except InputError as error:
            # What one part cannot measure says nothing about the others.
            print(f"error: {name}: {error}", file=sys.stderr)
            codes.append(2)
    print(f"\n{to_terminal(table(args, results))}\n")
    for name in args.parts:
        if (file := results.path / result_file(name, device.type)).exists():
            print(f"Result: {file}")
    return max(codes)


def _require_backbone(name: str) -> None:
    from df_heads.integrations.backbones import require_known

    try:
        require_known(name)
    except ValueError as error:
        raise InputError(f"--backbone: {error}") from error


def _measure(
    name: str, args: argparse.Namespace, results: ResultFolder, device: "torch.device"
) -> None:
    part = PARTS[name]
    content = {"flags": flags_of(part, args), **part.measure(args, device)}
    content["environment"] = msgspec.to_builtins(describe_environment(device.type, 1))
    write_json(results.path / result_file(name, device.type), content)
    if part.draw is not None:
        stem = results.path / f"speed-{name}-{device.type}"
        title = f"{args.precision}, {content['environment']['hardware']}"
        print(f"Figure: {', '.join(map(str, part.draw(content, stem, title=title)))}")


def _device(args: argparse.Namespace) -> "torch.device":
    import torch

    if args.device == "cuda" and not torch.cuda.is_available():
        raise InputError("--device cuda: torch finds no GPU here; use cpu or auto.")
    cuda = args.device != "cpu" and torch.cuda.is_available()
    return torch.device("cuda" if cuda else "cpu")


BENCHMARK = Benchmark(
    name="speed",
    title="Speed",
    question=question_of(__doc__),
    parse=parse,
    table=table,
    main=main,
    full_runs=[
        FullRun("Speed of the whole training step, the head and the loss on a GPU", "--device cuda")
    ],
    files=files,
    figures=figures,
    topic=lambda _: Topic.COST,
)


if __name__ == "__main__":
    sys.exit(run_script(main))

"""Command-line flags that the benchmark scripts share."""

import argparse
import dataclasses
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import get_args

from df_heads.benchmarks.harness.base.errors import InputError, trouble_of_the_machine
from df_heads.benchmarks.harness.base.experiment import Experiment
from df_heads.benchmarks.harness.base.interruption import Interrupted, interruptible, requeue
from df_heads.benchmarks.harness.base.machine import Machine, is_first_process, quiet_lightning
from df_heads.benchmarks.harness.data.images import load_images
from df_heads.benchmarks.harness.sweep.missing import DataSource
from df_heads.benchmarks.harness.train.heads import HEADS
from df_heads.benchmarks.harness.train.methods import METHODS
from df_heads.benchmarks.harness.views.building import AUGMENTS
from df_heads.integrations.backbones import STEMS
from df_heads.integrations.method import Views

PRECISIONS = ("32-true", "bf16-mixed", "16-mixed")
FIELD_DEFAULTS = {field.name: field.default for field in dataclasses.fields(Experiment)}


def add_shared_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of data, recipe, machine and output."""
    data = parser.add_argument_group("data")
    data.add_argument(
        "--data-dir",
        type=folder,
        help="torchvision files, or [NAME/]train/<class>/* and test/<class>/* (default: download)",
    )
    data.add_argument(
        "--data-note",
        default="",
        help="what is particular about this copy of the data; kept with every result",
    )
    data.add_argument(
        "--cache-dir", type=folder, help="decoded images (default: ~/.cache/df-heads)"
    )
    data.add_argument(
        "--train-images", type=int, help="use this many training images (default: all)"
    )
    data.add_argument(
        "--imbalance",
        type=float,
        default=FIELD_DEFAULTS["imbalance"],
        metavar="RATIO",
        help="train with so many images of the largest class for each of the smallest, falling "
        "exponentially; probes keep all (default: %(default)g, balanced)",
    )
    data.add_argument(
        "--image-size", type=int, default=32, help="side in pixels (default: %(default)s)"
    )

    recipe = parser.add_argument_group("recipe; defaults are the paper's where it gives a value")
    recipe.add_argument(
        "--epochs", type=int, default=FIELD_DEFAULTS["epochs"], help="default: %(default)s"
    )
    recipe.add_argument(
        "--batch-size",
        type=int,
        default=FIELD_DEFAULTS["batch_size"],
        help="images per step over all devices (default: %(default)s)",
    )
    recipe.add_argument(
        "--learning-rate",
        type=float,
        default=FIELD_DEFAULTS["learning_rate"],
        help="peak (default: %(default)s)",
    )
    recipe.add_argument(
        "--warmup-fraction",
        type=float,
        default=FIELD_DEFAULTS["warmup_fraction"],
        help="part of the run with rising learning rate (default: %(default)s)",
    )
    recipe.add_argument(
        "--gradient-clip",
        type=float,
        default=FIELD_DEFAULTS["gradient_clip"],
        help="largest norm of the gradient (default: %(default)s)",
    )
    recipe.add_argument(
        "--weight-decay",
        type=float,
        default=FIELD_DEFAULTS["weight_decay"],
        help="default: %(default)s",
    )
    recipe.add_argument(
        "--temperature",
        type=float,
        default=FIELD_DEFAULTS["temperature"],
        help="of NT-Xent and InfoNCE (default: %(default)s)",
    )
    recipe.add_argument(
        "--method", choices=tuple(METHODS), default="simclr", help="default: %(default)s"
    )
    recipe.add_argument("--queue-size", type=int, help="keys in the queue of moco (default: 4096)")
    recipe.add_argument(
        "--teacher-momentum",
        type=float,
        help="of the moving average; short runs need less (default: 0.999 in moco, 0.996 in byol)",
    )
    recipe.add_argument(
        "--loss-chunk-size",
        type=int,
        help="rows of NT-Xent held at a time, to save memory (default: lightly's loss, all rows)",
    )
    recipe.add_argument(
        "--views",
        choices=get_args(Views),
        default="separate",
        help="each view its own sequence, or both in one (default: %(default)s)",
    )
    recipe.add_argument(
        "--stem",
        choices=STEMS,
        default="imagenet",
        help="the paper's 7x7 stem, or a 3x3 stem (default: %(default)s)",
    )
    recipe.add_argument(
        "--augment",
        choices=AUGMENTS,
        default=FIELD_DEFAULTS["augment"],
        help="what draws the views; lightly's runs in --workers, kornia's must be installed "
        "(default: %(default)s)",
    )
    recipe.add_argument(
        "--compiled",
        action=argparse.BooleanOptionalAction,
        default=FIELD_DEFAULTS["compiled"],
        help="compile the training step (simclr, ours, one device); the same numbers but for "
        "rounding",
    )
    recipe.add_argument(
        "--precision", choices=PRECISIONS, default="32-true", help="default: %(default)s"
    )

    machine = parser.add_argument_group("machine")
    machine.add_argument(
        "--accelerator", choices=("auto", "cpu", "gpu"), default="auto", help="default: %(default)s"
    )
    machine.add_argument("--devices", type=int, default=1, help="default: %(default)s")
    machine.add_argument(
        "--workers",
        type=int,
        default=0,
        help="processes that gather batches (default: %(default)s)",
    )

    machine.add_argument(
        "--checkpoint-minutes",
        type=float,
        default=Machine.checkpoint_minutes,
        metavar="MINUTES",
        help="training that a killed run loses at most (default: %(default)g)",
    )

    output = parser.add_argument_group("output")
    output.add_argument(
        "--out-dir",
        type=folder,
        default=Path("runs"),
        help="result files, tables, checkpoints (default: %(default)s)",
    )
    output.add_argument(
        "--logger",
        choices=("csv", "tensorboard", "none"),
        default="csv",
        help="default: %(default)s",
    )
    output.add_argument(
        "--progress", action=argparse.BooleanOptionalAction, default=True, help="progress bar"
    )
    output.add_argument(
        "--resume",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="go on from the checkpoint of an interrupted run, or start it again",
    )


def folder(value: str) -> Path:
    """An argparse type: a path that can name a folder."""
    if not value.strip() or "\0" in value:
        raise argparse.ArgumentTypeError(f"{value!r} names no folder")
    return Path(value)


def names(known: Sequence[str]) -> Callable[[str], str]:
    """An argparse type: one of `known`, or an error that lists them."""

    def check(value: str) -> str:
        if value not in known:
            raise argparse.ArgumentTypeError(
                f"{value!r} is not known; choose from {', '.join(known)}"
            )
        return value

    return check


def head_families() -> tuple[str, ...]:
    """The families of heads.HEADS, without their sizes."""
    return tuple(dict.fromkeys(name.rsplit("-", 1)[0] for name in HEADS))


def experiment_from(
    args: argparse.Namespace, *, dataset: str, head: str, backbone: str, seed: int
) -> Experiment:
    """The experiment of one cell, the rest of it from the shared flags."""
    return Experiment(
        dataset=dataset,
        head=head,
        backbone=backbone,
        seed=seed,
        learning_rate=args.learning_rate,
        stem=args.stem,
        views=args.views,
        image_size=args.image_size,
        train_images=args.train_images,
        epochs=args.epochs,
        batch_size=args.batch_size,
        weight_decay=args.weight_decay,
        warmup_fraction=args.warmup_fraction,
        gradient_clip=args.gradient_clip,
        temperature=args.temperature,
        method=args.method,
        queue_size=args.queue_size,
        teacher_momentum=args.teacher_momentum,
        precision=args.precision,
        devices=args.devices,
        augment=args.augment,
        compiled=args.compiled,
        imbalance=args.imbalance,
        loss_chunk_size=args.loss_chunk_size,
    )


def machine_from(args: argparse.Namespace) -> Machine:
    """The machine of the shared flags."""
    machine = Machine(
        accelerator=args.accelerator,
        workers=args.workers,
        logger=args.logger,
        progress=args.progress,
        resume=args.resume,
        checkpoint_minutes=args.checkpoint_minutes,
    )
    machine.check(args.devices)
    return machine


def source_from(args: argparse.Namespace) -> DataSource:
    """The images of the shared flags."""
    return DataSource(
        lambda name, size: load_images(
            name, data_dir=args.data_dir, image_size=size, cache_dir=args.cache_dir
        ),
        note=args.data_note,
    )


def run_script(
    main: Callable[[Sequence[str] | None], int], arguments: Sequence[str] | None = None
) -> int:
    """Run a script's main; what it cannot help becomes one sentence.

    Returns:
        The script's exit code; 2 for bad input and for a disk that is full or not to be written
        to; 128 and the signal's number if one asked it to stop.
    """
    quiet_lightning()
    # Lightning 2.6 against torch 2.15: not the user's concern.
    warnings.filterwarnings("ignore", message=".*isinstance\\(treespec, LeafSpec\\).*")
    try:
        with interruptible():
            return main(arguments)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        sentence = trouble_of_the_machine(error)
        if sentence is None:
            raise
        print(f"error: {sentence}", file=sys.stderr)
        return 2
    except Interrupted as stop:
        if is_first_process():
            print(f"\n{stop}", file=sys.stderr)
            if (requeued := requeue(stop.signum)) is not None:
                print(requeued, file=sys.stderr)
        return stop.exit_code

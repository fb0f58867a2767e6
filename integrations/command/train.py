"""df-heads train: from a folder of pictures to a trained backbone."""

import argparse
from pathlib import Path

from df_heads.integrations.choices import (
    LOGGERS,
    METHODS,
    OPTIMIZERS,
    PRECISIONS,
    RESIZES,
    STEMS,
)
from df_heads.integrations.command.parser import one_of
from df_heads.presets import DEFAULT_HEAD, HEAD_PRESETS

name = "train"
help = "train on the pictures in a folder, whatever its shape, with or without labels"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Of this command; what has no default is fitted to the pictures and the machine."""
    heads = [*HEAD_PRESETS, *sorted({preset.rpartition("-")[0] for preset in HEAD_PRESETS})]
    add = parser.add_argument
    add("folder", type=Path, metavar="FOLDER", help="pictures; folders in it may be classes")
    add("--out", type=Path, metavar="RUN", help="the run folder (default: runs/<FOLDER's name>)")
    add("--method", type=one_of(METHODS), default="simclr", help=_choices(METHODS, "simclr"))
    add("--head", type=one_of(heads), metavar="NAME", help=f"default: {DEFAULT_HEAD}")
    add("--backbone", metavar="NAME", help="any timm model")
    add("--stem", type=one_of(STEMS), help=f"{_choices(STEMS)}: small for 32 pixels or so")
    add(
        "--pretrained",
        action="store_const",
        const=True,
        help="start from timm's weights of the backbone (a download)",
    )
    add("--optimizer", type=one_of(OPTIMIZERS), help=_choices(OPTIMIZERS))
    add("--learning-rate", type=float, metavar="RATE", help="at its peak")
    add("--weight-decay", type=float, metavar="DECAY")
    add("--epochs", type=int, metavar="N")
    add("--batch-size", type=int, metavar="N", help="at most the pictures to train on")
    add("--image-size", type=int, metavar="PIXELS", help="side of the squares to train on")
    add(
        "--resize",
        type=one_of(RESIZES),
        help=f"{_choices(RESIZES, 'crop')}: keep the central square, or all of a picture",
    )
    add("--min-scale", type=float, metavar="SHARE", help="least area of a random crop")
    add("--color-jitter", type=float, metavar="X", help="strength of the random colours")
    add("--workers", type=int, metavar="N", help="processes that make batches")
    add("--precision", type=one_of(PRECISIONS), help=_choices(PRECISIONS))
    add("--seed", type=int, metavar="N", help="of weights, order and views")
    add(
        "--skip-unreadable",
        action="store_true",
        help="name pictures that cannot be decoded and train without them",
    )
    add(
        "--logger",
        type=one_of(LOGGERS),
        default="csv",
        help=f"beside RUN/curve.csv: {_choices(LOGGERS, 'csv')}",
    )
    add("--no-progress", action="store_false", dest="progress", help="no bar on a terminal")


def run(args: argparse.Namespace) -> int:
    """Train."""
    from df_heads.integrations.own_images import train

    options = {key: value for key, value in vars(args).items() if key not in ("folder", "out")}
    train(args.folder, args.out, **options)
    return 0


def _choices(names: tuple[str, ...], default: str | None = None) -> str:
    return ", ".join(names) + (f" (default: {default})" if default else "")

"""df-heads look: one page that shows what a trained model does with pictures."""

import argparse
from pathlib import Path

name = "look"
help = "show what a trained model does with pictures, as one HTML page and PNGs"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Of this command."""
    parser.add_argument(
        "place",
        type=Path,
        metavar="RUN_OR_CHECKPOINT",
        help="folder that df-heads train wrote, or a checkpoint of Lightning, lightly or "
        "solo-learn with a head of df-heads",
    )
    parser.add_argument(
        "folder",
        type=Path,
        nargs="?",
        metavar="FOLDER",
        help="pictures to look at, with class folders or without (default: those of the run)",
    )
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="default: RUN/look")
    parser.add_argument(
        "--most", type=int, default=512, metavar="N", help="at most N pictures (default: 512)"
    )
    parser.add_argument(
        "--clusters",
        type=int,
        default=8,
        metavar="N",
        help="groups for pictures without classes (default: 8)",
    )
    parser.add_argument(
        "--skip-unreadable", action="store_true", help="leave out what cannot be decoded"
    )
    checkpoints = parser.add_argument_group("checkpoints that do not say it themselves")
    checkpoints.add_argument("--backbone", metavar="NAME", help="timm's name, such as resnet18")
    checkpoints.add_argument("--image-size", type=int, metavar="PIXELS", help="side of the images")
    checkpoints.add_argument("--num-heads", type=int, metavar="N", help="attention heads")


def run(args: argparse.Namespace) -> int:
    """Look, and say where the page is."""
    from df_heads.integrations.look import look_at

    page = look_at(
        args.place,
        args.folder,
        out=args.out,
        most=args.most,
        clusters=args.clusters,
        backbone=args.backbone,
        image_size=args.image_size,
        num_heads=args.num_heads,
        skip_unreadable=args.skip_unreadable,
    )
    figures = sorted(path.name for path in page.parent.glob("*.png"))
    print(f"wrote {page} and {len(figures)} figures beside it: {', '.join(figures)}")
    print(f"open it in a browser: {page.resolve().as_uri()}")
    return 0

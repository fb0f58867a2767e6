"""df-heads evaluate: what the trained features are worth, beside the untrained ones."""

import argparse
from pathlib import Path

name = "evaluate"
help = "measure a run's features on a folder of pictures, beside the untrained ones"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Of this command."""
    parser.add_argument("run", type=Path, metavar="RUN", help="folder that df-heads train wrote")
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="pictures, as for train")
    parser.add_argument(
        "--skip-unreadable",
        action="store_true",
        help="name pictures that cannot be decoded and go on without them",
    )


def run(args: argparse.Namespace) -> int:
    """Evaluate, and print the table."""
    from df_heads.integrations.own_images.evaluation import evaluate

    print(evaluate(args.run, args.folder, skip_unreadable=args.skip_unreadable))
    return 0

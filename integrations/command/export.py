"""df-heads export: the trained backbone as a file for other people's code."""

import argparse
from pathlib import Path

from df_heads.integrations.choices import EXPORTS
from df_heads.integrations.command.parser import one_of

name = "export"
help = "write the trained backbone as a file for timm, torchvision, ONNX or torch.export"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Of this command."""
    parser.add_argument("run", type=Path, metavar="RUN", help="folder that df-heads train wrote")
    parser.add_argument(
        "--to",
        required=True,
        type=one_of(EXPORTS),
        metavar="KIND",
        help=f"kind of file: {', '.join(EXPORTS)}",
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="the file (default: RUN/export/<kind>/model.*); a model card is put beside it",
    )


def run(args: argparse.Namespace) -> int:
    """Export, and say how to load it."""
    from df_heads.integrations.export import export_backbone

    done = export_backbone(args.run, args.to, args.out)
    print(f"wrote {done.file} and {', '.join(path.name for path in done.beside)} beside it")
    print(f"loaded again it gives the same features (largest difference {done.difference:.1e})")
    if done.has_small_stem and args.to in ("timm", "safetensors", "torchvision"):
        print("its stem for small images is no argument of the library: two lines put it in")
    print(f"\nLoad it without df-heads:\n\n{done.how_to_load}")
    return 0

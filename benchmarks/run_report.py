"""RESULTS.md and a one-page HTML report, made from the result files and nothing else.

    python benchmarks/run_report.py                        # of this checkout's results
    python benchmarks/run_report.py --results my_results   # of your own

A folder shows up in it by a report.json beside its result files, with the commands that made them:

    {"sections": [{"title": "Mixing on CIFAR-10, 10,000 images",
                   "command": "python benchmarks/run_controls.py --suites mixing --seeds 0 1 2"}]}

Each command is parsed by its own script, which makes its table again from that folder; leave out
--out-dir. Nothing is run and nothing is drawn: figures are the PNG files that the scripts left.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from df_heads.benchmarks.harness.base.errors import InputError
from df_heads.benchmarks.harness.plan.benchmark import benchmarks
from df_heads.benchmarks.harness.plan.flags import folder, run_script
from df_heads.benchmarks.harness.report.page import TITLE, page
from df_heads.benchmarks.harness.store.files import write_text
from df_heads.benchmarks.harness.tables.html import to_html
from df_heads.benchmarks.harness.tables.text import to_markdown

CHECKOUT = Path(__file__).resolve().parent.parent
RESULTS = Path(__file__).resolve().parent / "results"


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--results", type=folder, metavar="DIR", help="default: the results of this checkout"
    )
    parser.add_argument(
        "--out",
        type=folder,
        metavar="FILE",
        help="default: RESULTS.md of this checkout, or in DIR if that is given",
    )
    parser.add_argument(
        "--html", type=folder, metavar="FILE", help="default: report.html in the results folder"
    )
    args = parser.parse_args(arguments)
    if args.results is None and not RESULTS.is_dir():
        parser.error("there are no results beside this installation; give --results DIR")
    args.out = args.out or (args.results or CHECKOUT) / "RESULTS.md"
    args.results = args.results or RESULTS
    args.html = args.html or args.results / "report.html"
    return args


def main(arguments: Sequence[str] | None = None) -> int:
    """Write both reports."""
    args = parse(arguments)
    results, out, html = (path.resolve() for path in (args.results, args.out, args.html))
    blocks = page(results, out.parent, benchmarks())
    for file in (out, html):
        if not file.parent.is_dir():
            raise InputError(f"{file.parent} is no folder; choose another place for {file.name}.")
    write_text(out, to_markdown(blocks, out.parent) + "\n")
    write_text(html, to_html(f"df-heads: {TITLE}", blocks, html.parent))
    print(f"Written: {args.out}, {args.html}")
    return 0


if __name__ == "__main__":
    sys.exit(run_script(main))

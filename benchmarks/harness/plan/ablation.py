"""A table of the paper that varies one number of the recipe: Tables 3, 4 and 5."""

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from df_heads.benchmarks.harness.base.experiment import UNTRAINED, Experiment
from df_heads.benchmarks.harness.base.names import family, size_of
from df_heads.benchmarks.harness.base.paper import ABLATION_DATASET, ABLATION_SIZE, PAPER_METHOD
from df_heads.benchmarks.harness.evaluate.standard import UNSUPERVISED
from df_heads.benchmarks.harness.plan import cells
from df_heads.benchmarks.harness.plan.benchmark import Benchmark, Drawn, FullRun, question_of
from df_heads.benchmarks.harness.plan.table_script import run_table
from df_heads.benchmarks.harness.plan.topics import Topic
from df_heads.benchmarks.harness.plots.curves import Curve, Panel, draw_curves
from df_heads.benchmarks.harness.store.results import ResultFolder
from df_heads.benchmarks.harness.sweep.jobs import Job
from df_heads.benchmarks.harness.tables.accuracy import accuracies_and_gains
from df_heads.benchmarks.harness.tables.blocks import Block
from df_heads.benchmarks.harness.tables.runs import Configuration, Runs


def of_the_papers_ablations(args: argparse.Namespace, dataset: str, head: str) -> bool:
    """Whether Tables 3 to 6 of the paper have such a cell, the varied number aside."""
    theirs = (PAPER_METHOD, ABLATION_DATASET, ABLATION_SIZE)
    return (args.method, dataset, size_of(head)) == theirs


@dataclass(frozen=True)
class Ablation:
    """One number of the recipe, varied with everything else at its default.

    Attributes:
        name: File name of the table and its figure, without the ending.
        description: For --help.
        varied: The field of Experiment, which is also the name of its shared flag.
        flag: The flag that takes the values.
        values: The paper's.
        smoke_values: Those of --smoke.
        parse_value: From text to a value.
        paper: (head family, value) -> the paper's unsupervised accuracy, for the data set and the
            size of its ablations.
        paper_hours: (head family, value) -> the paper's hours.
    """

    name: str
    description: str | None
    varied: str
    flag: str
    values: Sequence[float]
    smoke_values: Sequence[float]
    parse_value: Callable[[str], float]
    paper: Mapping[tuple[str, float], float]
    paper_hours: Mapping[tuple[str, float], float] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """The varied number in words."""
        return self.varied.replace("_", " ")

    def parse(self, arguments: Sequence[str] | None = None) -> argparse.Namespace:
        """Read the command line."""
        parser = cells.table_parser(
            self.description, datasets=[ABLATION_DATASET], sizes=[ABLATION_SIZE]
        )
        parser.add_argument(
            self.flag,
            dest="values",
            nargs="+",
            type=self.parse_value,
            default=list(self.values),
            metavar="VALUE",
            help=f"default: {' '.join(f'{value:g}' for value in self.values)}",
        )
        smoke = {**cells.SMOKE, "values": list(self.smoke_values)}
        args = cells.parse_with_smoke(parser, arguments, smoke)
        if getattr(args, self.varied) != parser.get_default(self.varied):
            shared = f"--{self.varied.replace('_', '-')}"
            parser.error(f"{shared} is what this table varies; give its values to {self.flag}")
        return args

    def configurations(self, args: argparse.Namespace) -> list[Configuration]:
        """The untrained backbone of each data set, then each head at each value."""
        every = []
        for dataset in args.datasets:
            untrained = {seed: cells.cell(args, dataset, UNTRAINED, seed) for seed in args.seeds}
            every.append(Configuration((dataset, ""), UNTRAINED, untrained, cells.metrics(args)))
            every += [
                self._configuration(args, dataset, value, head)
                for value in args.values
                for head in cells.presets(args)
            ]
        return every

    def _configuration(
        self, args: argparse.Namespace, dataset: str, value: float, head: str
    ) -> Configuration:
        key = family(head), value
        theirs = of_the_papers_ablations(args, dataset, head)
        return Configuration(
            (dataset, f"{value:g}"),
            head,
            {seed: self._cell(args, dataset, head, seed, value) for seed in args.seeds},
            cells.metrics(args),
            paper={UNSUPERVISED: self.paper[key]} if theirs and key in self.paper else {},
            paper_hours=self.paper_hours.get(key) if theirs else None,
        )

    def _cell(
        self, args: argparse.Namespace, dataset: str, head: str, seed: int, value: float
    ) -> Experiment:
        varied: dict[str, Any] = {self.varied: value}
        return replace(cells.cell(args, dataset, head, seed), **varied)

    def jobs(self, args: argparse.Namespace) -> list[Job]:
        """The cells, one seed after the other."""
        every = self.configurations(args)
        return [self._job(args, one, seed) for seed in args.seeds for one in every]

    def _job(self, args: argparse.Namespace, one: Configuration, seed: int) -> Job:
        value = one.labels[-1]
        return cells.job(
            args, one.experiments[seed], label=f"{self.title} {value}" if value else ""
        )

    def table(self, args: argparse.Namespace, results: ResultFolder) -> list[Block]:
        """The table of the cells asked for, from their result files."""
        headings = ["data", self.title]
        load = cells.loader(args, results)
        return accuracies_and_gains(headings, self.configurations(args), load)

    def draw(self, args: argparse.Namespace, results: ResultFolder) -> list[Path]:
        """One panel for each data set and size: unsupervised accuracy over the varied number."""
        panels = [
            Panel(f"{dataset}, {size} heads", self._curves(args, results, dataset, size))
            for dataset in args.datasets
            for size in args.sizes
        ]
        return draw_curves(
            results.path / cells.file_stem(self.name, args),
            panels,
            x_title=self.title,
            y_title="unsupervised accuracy, %",
        )

    def _curves(
        self, args: argparse.Namespace, results: ResultFolder, dataset: str, size: str
    ) -> list[Curve]:
        curves = []
        for name in args.heads:
            points = {
                value: self._configuration(args, dataset, value, f"{name}-{size}")
                for value in args.values
            }
            ours = [
                (value, list(Runs(one, results.load).accuracies(UNSUPERVISED).values()))
                for value, one in points.items()
            ]
            paper = [
                (value, one.paper[UNSUPERVISED])
                for value, one in points.items()
                if UNSUPERVISED in one.paper
            ]
            curves.append(Curve(name, ours, paper))
        return curves

    def main(self, arguments: Sequence[str] | None = None) -> int:
        """Run what is missing, then write and print the table and draw the curves."""
        args = self.parse(arguments)
        return run_table(self.name, args, self.jobs(args), self.table, self.draw)

    def figures(self, args: argparse.Namespace, _: ResultFolder) -> list[Drawn]:
        """What `draw` draws, in words."""
        heads = ", ".join(args.heads)
        return [
            Drawn(
                f"{cells.file_stem(self.name, args)}.png",
                f"Unsupervised accuracy over {self.title}. Filled: ours, with 95 % t intervals "
                "from two seeds on; hollow: the paper's.",
                f"A line for each of {heads}, over {self.title} {', '.join(_values(args))}; the "
                "table above has its numbers.",
            )
        ]

    def benchmark(self, title: str) -> Benchmark:
        """The whole table as a benchmark."""
        return Benchmark(
            name=self.name,
            title=title.partition(",")[0],
            question=question_of(self.description),
            parse=self.parse,
            table=self.table,
            main=self.main,
            full_runs=[FullRun(title, "--seeds 0 1 2")],
            jobs=self.jobs,
            figures=self.figures,
            topic=lambda _: Topic.HELP,
            in_run_all=True,
        )


def _values(args: argparse.Namespace) -> list[str]:
    return [f"{value:g}" for value in args.values]

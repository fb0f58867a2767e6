import argparse
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from made_results import made_result, save_made

from df_heads.benchmarks import run_controls
from df_heads.benchmarks.harness.base.experiment import Experiment
from df_heads.benchmarks.harness.base.names import family
from df_heads.benchmarks.harness.plan.control_suites import SUITES
from df_heads.benchmarks.harness.plan.controls import suite_table
from df_heads.benchmarks.harness.plan.mechanism import MECHANISM
from df_heads.benchmarks.harness.store.results import ResultFolder
from df_heads.benchmarks.harness.store.schema import RunResult
from df_heads.benchmarks.harness.tables.text import to_terminal
from df_heads.benchmarks.harness.train.heads import HEADS

Accuracy = Callable[[Experiment], float | None]


def parsed(*seeds: int) -> argparse.Namespace:
    flags = ["--suites", "mechanism", "--datasets", "digits", "--seeds", *map(str, seeds)]
    return run_controls.parse(flags)


def mechanism_table(accuracy: Accuracy, *seeds: int) -> str:
    def load(experiment: Experiment) -> RunResult | None:
        value = accuracy(experiment)
        if value is None:
            return None
        return made_result(experiment, metrics={"unsupervised": value, "supervised": 50.0})

    return to_terminal(suite_table(parsed(*seeds), "mechanism", SUITES["mechanism"], load))


def rows_of(table: str) -> dict[tuple[str, str], list[str]]:
    """Of the first table of hypotheses: (head, over) -> what follows."""
    rows: dict[tuple[str, str], list[str]] = {}
    for line in table.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) > 4 and cells[0].endswith("?"):
            rows.setdefault((cells[1], cells[2]), cells[3:])
    return rows


def test_the_protocol_names_heads_that_there_are_and_each_pair_once() -> None:
    assert set(MECHANISM.heads) <= set(HEADS)
    pairs = [frozenset((one.head, one.over)) for one in MECHANISM.hypotheses]
    assert len(set(pairs)) == len(pairs)
    assert all(len(pair) == 2 for pair in pairs)
    assert len(MECHANISM.seeds) >= 20
    (full,) = [run for run in run_controls.BENCHMARK.full_runs if "mechanism" in run.flags]
    assert full.flags.endswith(" ".join(map(str, MECHANISM.seeds)))


def test_a_complete_family_is_judged_together() -> None:
    noise = random.Random(0)

    def accuracy(experiment: Experiment) -> float:
        gain = 1.0 if family(experiment.head) == "transformer-oracle" else 0.0
        return 40 + gain + noise.gauss(0, 0.3)

    rows = rows_of(mechanism_table(accuracy, *MECHANISM.seeds))
    assert list(rows) == [(one.head, one.over) for one in MECHANISM.hypotheses]
    verdicts = {pair: cells[4] for pair, cells in rows.items()}
    found = {pair for pair, said in verdicts.items() if said == "better"}
    assert found == {
        ("transformer-oracle", "transformer-self"),
        ("transformer-oracle", "transformer-uniform"),
    }
    assert set(verdicts.values()) == {"better", "undecided"}


def test_an_incomplete_family_has_gains_and_no_verdict() -> None:
    def accuracy(experiment: Experiment) -> float | None:
        missing = experiment.seed == 7 and family(experiment.head) == "transformer-half"
        return None if missing else 40.0 + experiment.seed

    table = mechanism_table(accuracy, *MECHANISM.seeds)
    assert "stated for 20 seeds, 0 to 19; 19 of them are complete, so there is no verdict" in table
    rows = rows_of(table)
    assert rows["transformer", "transformer-half"] == ["+0.00", "+0.00 to +0.00", "19"]
    assert rows["transformer", "transformer-self"][-1] == "20"
    assert "undecided" not in table
    assert "| better" not in table


def test_other_seeds_than_those_stated_are_not_looked_at() -> None:
    def accuracy(experiment: Experiment) -> float:
        return 40.0 + 50 * (experiment.seed >= 20 and experiment.head == "transformer-small")

    table = mechanism_table(accuracy, 0, 1, 20, 21)
    assert "2 of them are complete" in table
    assert rows_of(table)["transformer", "transformer-self"] == ["+0.00", "+0.00 to +0.00", "2"]
    assert "not run" in mechanism_table(lambda _: None, 0)


@pytest.mark.parametrize("seeds", [2, pytest.param(20, marks=pytest.mark.slow)])
def test_the_figures_show_every_hypothesis(seeds: int, tmp_path: Path) -> None:
    args, results = parsed(*range(seeds)), ResultFolder(tmp_path)
    noise = random.Random(0)
    for job in run_controls.jobs(args):
        gain = 2.0 * (family(job.experiment.head) == "transformer-oracle")
        metrics = {"unsupervised": 40 + gain + noise.gauss(0, 0.5), "supervised": 50.0}
        save_made(results, job.experiment, metrics=metrics)
    files = run_controls.draw(args, results)
    first, gains = run_controls.figures(args, results)
    assert {file.name for file in files} >= {first.name, gains.name}
    assert gains.name == "controls-mechanism-gains.png"
    one = MECHANISM.hypotheses[0]
    assert gains.alt.startswith(f"Mean gains: {one.head} over {one.over} ")
    assert all(file.stat().st_size for file in files)
    drawn = (tmp_path / "controls-mechanism-gains.svg").read_text(encoding="utf-8")
    for one in MECHANISM.hypotheses:
        assert f"<!-- {one.head}" in drawn
        assert f"over {one.over}" in drawn
    assert (f"{seeds} of 20 seeds" in drawn, "better" in drawn) == (True, seeds == 20)


@pytest.mark.slow
def test_the_suite_without_any_effect_is_called_right_in_95_percent_of_cases() -> None:
    noise = random.Random(0)

    def accuracy(experiment: Experiment) -> float:
        return 40 + experiment.seed + noise.gauss(0, 0.5)

    tables = [mechanism_table(accuracy, *MECHANISM.seeds) for _ in range(100)]
    wrong = sum(
        any(cells[4] != "undecided" for cells in rows_of(table).values()) for table in tables
    )
    assert wrong <= 5

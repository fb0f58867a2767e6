import json
from pathlib import Path

import pytest
from made_results import made_result, save_made

from df_heads.benchmarks import run_tuning
from df_heads.benchmarks.harness.base.experiment import Experiment
from df_heads.benchmarks.harness.plan.flags import run_script
from df_heads.benchmarks.harness.plan.tuning import choose, next_rate, notes, tuning_table
from df_heads.benchmarks.harness.store.results import ResultFolder
from df_heads.benchmarks.harness.store.schema import RunResult
from df_heads.benchmarks.harness.tables.runs import Configuration, Runs
from df_heads.benchmarks.harness.tables.text import to_terminal


def tried(head: str, rate: float, *accuracies: float, loss: float = 5.0) -> Runs:
    """Two seeds, of which as many were run as there are accuracies."""
    experiments = {
        seed: Experiment("digits", head, learning_rate=rate, seed=seed) for seed in (0, 1)
    }

    def load(experiment: Experiment) -> RunResult | None:
        if experiment.seed >= len(accuracies):
            return None
        metrics = {"unsupervised": accuracies[experiment.seed], "supervised": 0.0}
        losses = {"final_train_loss": loss, "collapse_loss": 7.0}
        return made_result(experiment, metrics=metrics | losses)

    return Runs(Configuration((), head, experiments), load)


TRIED = [
    tried("transformer-small", 0.3, 40.0, 44.0),
    tried("transformer-small", 0.1, 40.0, 44.0),
    tried("transformer-small", 0.03, 30.0, 30.0),
    tried("feedforward-small", 0.03, 31.0, 31.0),
    tried("feedforward-small", 0.1, 30.0, 30.0),
    tried("feedforward-small", 0.3, 99.0, 99.0, loss=6.99),
    tried("lightly-small", 0.03, 50.0),
    tried("lightly-small", 0.1),
    tried("lightly-small", 0.3),
]


def test_the_best_rate_of_complete_runs_that_did_not_collapse() -> None:
    assert choose(TRIED) == {"transformer-small": 0.1, "feedforward-small": 0.03}
    assert choose([]) == {}


def test_the_search_as_a_table_and_what_to_know_of_it() -> None:
    lines = to_terminal([tuning_table(TRIED)]).splitlines()
    rows = [[text.strip() for text in line.strip("|").split("|")] for line in lines]
    assert rows[0] == ["head", "0.03", "0.1", "0.3", "chosen"]
    assert rows[2] == ["transformer-small", "30.00 ± 0.00", "42.00 ± 2.83", "42.00 ± 2.83", "0.1"]
    assert rows[3][3:] == ["99.00 ± 0.00 (collapsed)", "0.03"]
    assert rows[4][1:] == ["50.00", "not run", "not run", "none"]
    assert notes(TRIED) == [
        "feedforward-small: the best rate, 0.03, is the lowest tried; a better one may lie beyond: "
        "add it to --rates.",
        "lightly-small: no rate was run with every seed and without a collapse.",
    ]


def test_every_head_gets_the_same_budget_on_held_out_images() -> None:
    args = run_tuning.parse(["--seeds", "0", "1"])
    experiments = [job.experiment for job in run_tuning.jobs(args)]
    assert len(set(experiments)) == 3 * 4 * 2
    assert {experiment.holdout for experiment in experiments} == {0.1}
    budgets: dict[str, list[tuple[float, int]]] = {}
    for experiment in experiments:
        assert isinstance(experiment, Experiment)
        budgets.setdefault(experiment.head, []).append(
            (experiment.learning_rate, experiment.epochs)
        )
    assert len({tuple(sorted(budget)) for budget in budgets.values()}) == 1


@pytest.mark.parametrize(
    ("accuracies", "following"),
    [
        ({0.03: 30.0, 0.1: 40.0, 0.3: 35.0}, None),
        ({0.03: 40.0, 0.1: 35.0, 0.3: 30.0}, 0.01),
        ({0.01: 41.0, 0.03: 40.0, 0.1: 35.0}, 0.003),
        ({0.003: 42.0, 0.01: 41.0, 0.03: 40.0}, None),
        ({0.03: 30.0, 0.1: 35.0, 0.3: 40.0}, 1.0),
        ({0.1: 35.0, 0.3: 40.0, 1.0: 41.0}, None),
        ({0.1: 40.0}, 0.03),
    ],
)
def test_the_grid_grows_until_the_best_rate_is_inside(
    accuracies: dict[float, float], following: float | None
) -> None:
    runs = [tried("lightly-small", rate, value, value) for rate, value in accuracies.items()]
    assert next_rate(runs, [1.0, 0.01, 0.003, 0.03]) == following


def test_a_head_that_collapses_at_every_rate_is_tried_at_lower_ones() -> None:
    runs = [tried("lightly-small", rate, 9.0, 9.0, loss=6.99) for rate in (0.1, 0.3)]
    assert next_rate(runs, [1.0, 0.03, 0.01]) == 0.03
    # The collapsed rate beyond the best one encloses it.
    assert next_rate([*runs[1:], *TRIED[3:5]], [1.0, 0.01]) == 0.01
    assert next_rate([tried("lightly-small", 0.03, 8.0, 8.0), TRIED[3], *runs], [1.0]) is None


def test_further_rates_are_for_the_heads_that_need_them(tmp_path: Path) -> None:
    flags = ["--rates", "0.1", "0.3", "--further-rates", "0.03", "1", "3", "--seeds", "0", "1"]
    args = run_tuning.parse(
        [*flags, "--heads", "feedforward", "lightly", "--out-dir", str(tmp_path)]
    )
    results = ResultFolder(tmp_path)

    def run(head: str, accuracy: dict[float, float]) -> None:
        for job in run_tuning.jobs(args):
            experiment, rate = job.experiment, job.experiment.learning_rate
            if experiment.head == head and rate in accuracy and not job.done(results):
                if accuracy[rate] < 0:
                    results.save_failure(experiment, "the loss is not finite")
                else:
                    metrics = {"unsupervised": accuracy[rate], "supervised": 0.0}
                    save_made(results, experiment, metrics=metrics)

    def rates(head: str) -> list[float]:
        return [
            job.experiment.learning_rate
            for job in run_tuning.jobs(args)
            if job.experiment.head == head and job.experiment.seed == 0
        ]

    run("feedforward-small", {0.1: 30.0})
    assert rates("feedforward-small") == [0.1, 0.3]
    run("feedforward-small", {0.3: 40.0})
    assert rates("feedforward-small") == [0.1, 0.3, 1.0]
    # A rate whose runs fail encloses the best one too.
    run("feedforward-small", {1.0: -1.0})
    assert rates("feedforward-small") == [0.1, 0.3, 1.0]
    assert rates("lightly-small") == [0.1, 0.3]
    run("lightly-small", {0.1: 40.0, 0.3: 30.0})
    run("lightly-small", {0.03: 41.0})
    assert rates("lightly-small") == [0.1, 0.3, 0.03]
    lines = to_terminal(run_tuning.table(args, results))
    (row,) = [line for line in lines.splitlines() if line.startswith("| lightly")]
    assert [cell.strip() for cell in row.strip("|").split("|")][4:] == ["", "0.03"]
    assert "lightly-small: the best rate, 0.03, is the lowest tried" in lines
    assert "feedforward-small: the best" not in lines


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--learning-rates", "transformer=0.1"], "give what to try to --rates"),
        (["--datasets", "cifar10", "cifar100"], "one data set at a time"),
        (["--holdout", "1"], "--holdout 1 must be above 0 and below 1"),
    ],
)
def test_bad_input_gets_one_sentence_and_exit_code_2(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        code = run_script(run_tuning.main, [*arguments, "--out-dir", str(tmp_path)])
    except SystemExit as stop:  # argparse
        code = int(str(stop.code))
    assert code == 2
    assert message in capsys.readouterr().err


@pytest.mark.slow
def test_a_search_is_run_stored_and_ends_with_the_flag_to_paste(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--smoke", "--heads", "feedforward", "--train-images", "300"]
    arguments += ["--batch-size", "50", "--no-progress", "--logger", "none"]
    arguments += ["--out-dir", str(tmp_path / "out"), "--cache-dir", str(tmp_path / "cache")]
    assert run_script(run_tuning.main, arguments) == 0
    out = capsys.readouterr().out
    stored = json.loads((tmp_path / "out" / "tuning.json").read_text())
    (rate,) = stored["chosen"].values()
    assert f"For the tables: --learning-rates feedforward-small={rate:g}" in out
    assert len(stored["trials"]) == 2
    for trial in stored["trials"]:
        (accuracy,) = trial["accuracy"].values()
        files = list((tmp_path / "out").glob(f"*-{trial['keys']['0']}.json"))
        assert json.loads(files[0].read_text())["metrics"]["unsupervised"] == accuracy
    assert ResultFolder(tmp_path / "out").path.joinpath("tuning.md").exists()

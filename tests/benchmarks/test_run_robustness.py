from pathlib import Path
from typing import Any

import pytest
from made_results import save_made, save_made_evaluation

from df_heads.benchmarks import run_robustness, run_table2
from df_heads.benchmarks.harness.evaluate.robustness import Robustness
from df_heads.benchmarks.harness.plan.flags import run_script
from df_heads.benchmarks.harness.plots import drawing as plots
from df_heads.benchmarks.harness.plots import gains as gain_plot
from df_heads.benchmarks.harness.store.results import ResultFolder
from df_heads.benchmarks.harness.sweep.jobs import Job

SETTINGS = ["1 % labels", "10 % labels", "100 % labels", "20 % wrong", "40 % wrong"]


def columns(line: str) -> list[str]:
    return [text.strip() for text in line.strip("|").split("|")]


def fill(results: ResultFolder, args: Any, collapsed: str = "") -> None:
    """Every accuracy 30, the Transformer's 10 more and seed by seed a little better."""
    for job in run_robustness.jobs(args):
        experiment = job.experiment
        metrics = {"unsupervised": 1.0, "supervised": 2.0, "final_train_loss": 1.0}
        metrics["collapse_loss"] = 1.0 if experiment.head == collapsed else 5.0
        save_made(results, experiment, metrics=metrics)
        better = experiment.head == "transformer-small"
        (evaluation,) = job.evaluations
        names = evaluation.columns.values()
        values = dict.fromkeys(names, 30 + better * (10 + 0.1 * experiment.seed))
        save_made_evaluation(results, experiment, evaluation, metrics=values)


def target(job: Job) -> str:
    (evaluation,) = job.evaluations
    assert isinstance(evaluation, Robustness)
    return evaluation.target(job.experiment)


def test_one_cifar_for_the_other_and_the_cells_of_table_2() -> None:
    jobs = run_robustness.jobs(run_robustness.parse([]))
    assert {(job.experiment.dataset, target(job)) for job in jobs} == {
        ("cifar10", "cifar100"),
        ("cifar100", "cifar10"),
    }
    table2 = run_table2.jobs(run_table2.parse(["--sizes", "small"]))
    assert {job.experiment for job in jobs} <= {job.experiment for job in table2}
    chosen = run_robustness.parse(["--datasets", "stl10", "--transfer-to", "cifar10"])
    assert set(map(target, run_robustness.jobs(chosen))) == {"cifar10"}
    smoke = run_robustness.jobs(run_robustness.parse(["--smoke"]))
    assert {(job.experiment.dataset, target(job)) for job in smoke} == {("digits", "inverted")}


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--datasets", "cifar10", "--transfer-to", "cifar10"], "is what it is trained on"),
        (["--datasets", "stl10"], "stl10 has no usual counterpart; choose one with --transfer-to"),
        (
            ["--transfer-to", "cifar1000"],
            "there is no data set 'cifar1000'; did you mean 'cifar100'?",
        ),
    ],
)
def test_bad_flags(flags: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run_robustness.parse(flags)
    assert message in capsys.readouterr().err


def test_the_tables(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--datasets", "cifar10", "--seeds", "0", "1", "2", "--out-dir", str(tmp_path)]
    args = run_robustness.parse(flags)
    assert run_script(run_robustness.main, [*flags, "--table-only"]) == 0
    assert capsys.readouterr().out.count("not run") == 3 * 7
    fill(ResultFolder(tmp_path), args, collapsed="feedforward-small")
    assert run_script(run_robustness.main, [*flags, "--table-only"]) == 0
    note, accuracies, gains, legend = (tmp_path / "robustness.md").read_text().split("\n\n")
    lines = list(map(columns, accuracies.splitlines()))
    assert lines[0] == [
        *("data", "head", "size"),
        *SETTINGS,
        *("to cifar100", "corrupted", "seeds"),
    ]
    assert lines[2][:4] == ["cifar10", "feedforward (collapsed)", "small", "30.00 ± 0.00"]
    assert lines[3] == ["cifar10", "transformer", "small", *["40.10 ± 0.10"] * 7, "3"]
    by_place = {(line[1], line[3], line[4]): line for line in map(columns, gains.splitlines())}
    assert by_place["to cifar100", "transformer", "attention off"] == [
        *("cifar10", "to cifar100", "small", "transformer", "attention off"),
        *("+10.10", "+9.85 to +10.35", "better", "3"),
    ]
    assert by_place["corrupted", "transformer-self", "feedforward"][5:8] == [
        *("+0.00", "+0.00 to +0.00", "undecided"),
    ]
    assert len(by_place) == 2 + 7 * 3
    assert "10 % labels is Table 2's supervised accuracy" in note
    assert "paired by seed" in legend


def test_the_figure_shows_what_the_verdicts_judge(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    figures: list[Any] = []
    new_figure = plots.new_figure

    def remembered(*args: Any, **options: Any) -> Any:
        figures.append(new_figure(*args, **options))
        return figures[-1]

    monkeypatch.setattr(gain_plot, "new_figure", remembered)
    args = run_robustness.parse(["--datasets", "cifar10", "cifar100", "--seeds", "0", "1", "2"])
    results = ResultFolder(tmp_path)
    fill(results, run_robustness.parse(["--datasets", "cifar10", "--seeds", "0", "1", "2"]))
    files = run_robustness.draw(args, results)
    assert [file.name for file in files] == ["robustness.png", "robustness.svg"]
    assert files[0].read_bytes()[:4] == b"\x89PNG"
    here, there = figures[0][1].flat
    labels = [text.get_text() for text in here.get_legend().get_texts()]
    assert labels == [
        "transformer over feedforward",
        "transformer over attention off",
        "transformer-self over feedforward",
    ]
    assert [text.get_text() for text in here.get_xticklabels()] == [
        *SETTINGS,
        *("to cifar100", "corrupted"),
    ]
    bars = here.containers[0]
    assert bars.lines[0].get_ydata() == pytest.approx([10.1] * 7)
    low, high = bars.lines[2][0].get_segments()[0][:, 1]
    # Student's t at 2 degrees of freedom is 4.3027; the deviation is 0.1.
    assert (low, high) == (pytest.approx(10.1 - 0.24841), pytest.approx(10.1 + 0.24841))
    assert all("(not run)" in text.get_text() for text in there.get_legend().get_texts())


@pytest.mark.slow
def test_one_command_trains_evaluates_and_draws_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--smoke", "--heads", "transformer", "--seeds", "0", "--epochs", "1"]
    flags += ["--no-progress", "--logger", "none", "--accelerator", "cpu"]
    flags += ["--out-dir", str(tmp_path / "out"), "--cache-dir", str(tmp_path / "cache")]
    for done in (0, 1):
        assert run_script(run_robustness.main, flags) == 0
        assert f"1 runs, {done} of them done before." in capsys.readouterr().out
    names = sorted(file.name for file in (tmp_path / "out").glob("robustness.*"))
    assert names == ["robustness.md", "robustness.png", "robustness.svg"]
    assert "not run" not in (tmp_path / "out" / "robustness.md").read_text()
    assert len(list((tmp_path / "out" / "robustness").iterdir())) == 1

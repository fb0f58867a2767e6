import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from made_results import save_made, save_made_evaluation

from df_heads.benchmarks import run_table2, run_table3, run_table4, run_table5, run_table6
from df_heads.benchmarks.harness.base.errors import InputError
from df_heads.benchmarks.harness.base.experiment import UNTRAINED, Experiment
from df_heads.benchmarks.harness.evaluate.probes import Probes
from df_heads.benchmarks.harness.plan.flags import run_script
from df_heads.benchmarks.harness.plots import drawing as plots
from df_heads.benchmarks.harness.store.results import ResultFolder
from df_heads.benchmarks.harness.tables.text import to_terminal

ABLATIONS = [run_table3, run_table4, run_table5]
VARIED = {run_table3: "batch_size", run_table4: "temperature", run_table5: "weight_decay"}


def save(results: ResultFolder, experiment: Experiment, accuracy: float) -> None:
    save_made(
        results,
        experiment,
        metrics={"unsupervised": accuracy, "supervised": accuracy + 10},
        seconds={"train": 120.0, "evaluate": 1.0},
    )


def columns(line: str) -> list[str]:
    return [text.strip() for text in line.strip("|").split("|")]


@pytest.mark.parametrize("script", ABLATIONS)
def test_a_grid_varies_one_field_and_meets_table_2_at_its_default(script: ModuleType) -> None:
    experiments = [job.experiment for job in script.BENCHMARK.jobs(script.BENCHMARK.parse([]))]
    trained = [experiment for experiment in experiments if experiment.head != UNTRAINED]
    values = script.ABLATION.values
    assert {getattr(experiment, VARIED[script]) for experiment in trained} == set(values)
    assert len(set(trained)) == len(trained) == 3 * len(values)
    titles = [job.title for job in script.BENCHMARK.jobs(script.BENCHMARK.parse([]))]
    assert len(set(titles)) == len(titles)
    assert titles[0] == "cifar100 untrained seed 0"
    assert titles[1] == f"cifar100 feedforward-small {script.ABLATION.title} {values[0]:g} seed 0"
    assert {(e.dataset, e.head.rpartition("-")[2], e.epochs) for e in trained} == {
        ("cifar100", "small", 1000)
    }
    table2 = run_table2.jobs(run_table2.parse(["--datasets", "cifar100", "--sizes", "small"]))
    assert {job.experiment for job in table2} <= set(experiments)


@pytest.mark.parametrize("script", ABLATIONS)
def test_paper_numbers_stand_beside_cifar100_and_no_other(script: ModuleType) -> None:
    here, there = (
        script.ABLATION.configurations(
            script.BENCHMARK.parse(["--datasets", name, "--sizes", "small", "large"])
        )
        for name in ("cifar100", "cifar10")
    )
    printed = {(row.head, row.labels[1]) for row in here if row.paper}
    assert len(printed) == 2 * len(script.ABLATION.values)
    assert {head for head, _ in printed} == {"feedforward-small", "transformer-small"}
    assert not any(row.paper or row.paper_hours for row in there)
    moco = script.ABLATION.configurations(script.BENCHMARK.parse(["--method", "moco"]))
    assert not any(row.paper or row.paper_hours for row in moco)
    assert moco[-1].title == "moco transformer-self"


def test_the_table_and_its_curves(tmp_path: Path) -> None:
    results = ResultFolder(tmp_path)
    arguments = ["--temperatures", "0.5", "0.2", "--heads", "feedforward", "transformer"]
    args = run_table4.BENCHMARK.parse([*arguments, "--seeds", "0", "1", "2"])
    for job in run_table4.BENCHMARK.jobs(args):
        experiment = job.experiment
        best = 40 if experiment.head == "transformer-small" else 30
        if experiment.temperature == 0.2:
            save(results, experiment, best + experiment.seed + 0.1 * (best == 40))
    accuracies, gains, _ = to_terminal(run_table4.BENCHMARK.table(args, results)).split("\n\n")
    lines = list(map(columns, accuracies.splitlines()))
    assert lines[0][:4] == ["data", "temperature", "head", "size"]
    assert lines[3][1:7] == ["0.5", "feedforward", "small", "", "not run", "18.43"]
    assert lines[6][1:7] == ["0.2", "transformer", "small", "2.00M", "41.10 ± 1.00", "40.19"]
    assert columns(gains.splitlines()[2])[5:8] == ["+10.10", "+10.10 to +10.10", "undecided"]
    files = run_table4.ABLATION.draw(args, results)
    assert [file.name for file in files] == ["table4.png", "table4.svg"]
    assert files[0].read_bytes()[:4] == b"\x89PNG"
    assert "<svg" in files[1].read_text()


def test_curves_with_their_intervals_and_the_papers_points(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    figures: list[Any] = []
    new_figure = plots.new_figure

    def remembered(*args: Any, **options: Any) -> Any:
        figures.append(new_figure(*args, **options))
        return figures[-1]

    monkeypatch.setattr("df_heads.benchmarks.harness.plots.curves.new_figure", remembered)
    results = ResultFolder(tmp_path)
    args = run_table3.BENCHMARK.parse(["--heads", "transformer", "--seeds", "0", "1", "2"])
    for job in run_table3.BENCHMARK.jobs(args):
        if job.experiment.batch_size == 1024 and job.experiment.head != UNTRAINED:
            save(results, job.experiment, 40.0 + job.experiment.seed)
    run_table3.ABLATION.draw(args, results)
    (axis,) = figures[0][1].flat
    ours, paper = axis.containers[0], axis.lines[-1]
    assert ours.lines[0].get_xydata().tolist() == [[1024.0, 41.0]]
    (low, high) = ours.lines[2][0].get_segments()[0][:, 1]
    assert (low, high) == (pytest.approx(41 - 2.4841, abs=1e-3), pytest.approx(43.4841, abs=1e-3))
    assert paper.get_xydata().tolist() == [
        [512, 38.54],
        [1024, 40.19],
        [2048, 39.59],
        [4096, 35.12],
    ]
    assert [text.get_text() for text in axis.get_xticklabels()] == ["512", "1024", "2048", "4096"]


def test_table_6_takes_every_place_from_the_probes(tmp_path: Path) -> None:
    results = ResultFolder(tmp_path)
    args = run_table6.parse(["--heads", "feedforward", "transformer"])
    jobs = run_table6.jobs(args)
    assert all(job.evaluations == (Probes(),) for job in jobs)
    table2 = run_table2.jobs(run_table2.parse(["--datasets", "cifar100", "--sizes", "small"]))
    assert {job.experiment for job in jobs} <= {job.experiment for job in table2}
    for number, job in enumerate(jobs):
        save(results, job.experiment, 30.0)
        if number == 1:
            places = {"backbone_1": 46, "backbone_3": 42, "projection_1": 44, "projection_3": 30}
            save_made_evaluation(results, job.experiment, Probes(), metrics=places)
    text = to_terminal(run_table6.table(args, results))
    lines = [columns(line)[1:8] for line in text.splitlines()[2:]]
    assert lines[0] == ["backbone", "1", "feedforward", "small", "", "not run", "42.51"]
    assert lines[1] == ["backbone", "1", "transformer", "small", "2.00M", "46.00", "46.12"]
    assert lines[7] == ["projection", "3", "transformer", "small", "2.00M", "30.00", "30.34"]
    files = run_table6.draw(args, results)
    assert "backbone, 1" in re.sub("<!--|-->", "", files[1].read_text())


@pytest.mark.parametrize("script", ABLATIONS)
def test_the_shared_flag_of_the_varied_number_is_refused(
    script: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    shared = f"--{VARIED[script].replace('_', '-')}"
    with pytest.raises(SystemExit):
        script.BENCHMARK.parse([shared, "8"])
    assert f"{shared} is what this table varies; give its values to" in capsys.readouterr().err


def test_without_matplotlib_there_is_a_table_and_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def missing(*_: Any, **__: Any) -> None:
        raise InputError("the figures need matplotlib: pip install 'df-heads[benchmarks]'")

    monkeypatch.setattr("df_heads.benchmarks.harness.plots.curves.new_figure", missing)
    assert run_script(run_table5.BENCHMARK.main, ["--table-only", "--out-dir", str(tmp_path)]) == 0
    captured = capsys.readouterr()
    assert "not run" in captured.out
    assert captured.err == (
        "No figure: the figures need matplotlib: pip install 'df-heads[benchmarks]'\n"
    )


@pytest.mark.slow
def test_table_6_trains_probes_and_draws_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--smoke", "--heads", "transformer", "--seeds", "0", "--epochs", "1"]
    arguments += ["--no-progress", "--logger", "none", "--accelerator", "cpu"]
    arguments += ["--out-dir", str(tmp_path / "out"), "--cache-dir", str(tmp_path / "cache")]
    for done in (0, 1):
        assert run_script(run_table6.main, arguments) == 0
        assert f"1 runs, {done} of them done before." in capsys.readouterr().out
    names = sorted(file.name for file in (tmp_path / "out").glob("table6.*"))
    assert names == ["table6.md", "table6.png", "table6.svg"]
    assert "not run" not in (tmp_path / "out" / "table6.md").read_text()

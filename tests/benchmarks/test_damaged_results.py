"""Result files that are not what this version wrote: one sentence, exit code 2, nothing changed."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from made_results import save_made, save_made_evaluation

from df_heads.benchmarks import run_all, run_report, run_robustness, run_table2, run_table6
from df_heads.benchmarks.harness.plan.benchmark import Benchmark
from df_heads.benchmarks.harness.plan.flags import run_script
from df_heads.benchmarks.harness.store.results import ResultFolder

BUDGET = ["--datasets", "cifar10", "--sizes", "small", "--heads", "transformer"]


def schema_2(content: dict[str, Any]) -> None:
    content["schema"] = 2


def without_metrics(content: dict[str, Any]) -> None:
    del content["metrics"]


def metrics_of_text(content: dict[str, Any]) -> None:
    content["metrics"]["supervised"] = "high"


def seconds_of_a_list(content: dict[str, Any]) -> None:
    content["seconds"] = [1, 2]


def hardware_of_a_number(content: dict[str, Any]) -> None:
    content["environment"]["hardware"] = 7


def a_field_too_many(content: dict[str, Any]) -> None:
    content["mood"] = "good"


def no_config(content: dict[str, Any]) -> None:
    content["config"] = None


DAMAGES = [
    schema_2,
    without_metrics,
    metrics_of_text,
    seconds_of_a_list,
    hardware_of_a_number,
    a_field_too_many,
    no_config,
]


def fill(folder: Path, benchmark: Benchmark) -> list[Path]:
    """Every result file of a benchmark; the first of each kind."""
    results, files = ResultFolder(folder), []
    for job in benchmark.jobs(benchmark.parse(BUDGET)):
        save_made(results, job.experiment)
        for evaluation in job.evaluations:
            metrics = dict.fromkeys(evaluation.columns.values(), 1.0)
            save_made_evaluation(results, job.experiment, evaluation, metrics=metrics)
            files.append(folder / evaluation.file(job.experiment))
        files.append(results.file(job.experiment))
    return [files[0], files[-1]]


def table(benchmark: Benchmark) -> Callable[[Path], int]:
    return lambda folder: run_script(
        benchmark.main, [*BUDGET, "--table-only", "--out-dir", str(folder)]
    )


def status(folder: Path) -> int:
    return run_script(
        run_all.main, [*BUDGET, "--status", "--tables", "2", "6", "--out-dir", str(folder)]
    )


def report(folder: Path) -> int:
    command = " ".join(["python benchmarks/run_table6.py", *BUDGET])
    manifest = {"sections": [{"title": "Table 6", "command": command}]}
    (folder / "report.json").write_text(json.dumps(manifest))
    return run_script(run_report.main, ["--results", str(folder)])


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize(
    ("benchmark_", "start"),
    [
        (run_table2.BENCHMARK, table(run_table2.BENCHMARK)),
        (run_table6.BENCHMARK, table(run_table6.BENCHMARK)),
        (run_robustness.BENCHMARK, table(run_robustness.BENCHMARK)),
        (run_table6.BENCHMARK, status),
        (run_table6.BENCHMARK, report),
    ],
    ids=["table2", "table6", "robustness", "status", "report"],
)
def test_other_files_are_refused_and_left_alone(
    benchmark_: Benchmark,
    start: Callable[[Path], int],
    damage: Callable[[dict[str, Any]], None],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    files = fill(tmp_path, benchmark_)
    assert start(tmp_path) == 0
    for file in files:
        whole = file.read_text()
        content = json.loads(whole)
        damage(content)
        damaged = json.dumps(content)
        file.write_text(damaged)
        capsys.readouterr()
        assert start(tmp_path) == 2
        said = capsys.readouterr().err.strip()
        assert str(file) in said
        assert len(said.splitlines()) == 1
        assert file.read_text() == damaged
        file.write_text(whole)

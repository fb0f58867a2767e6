import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from made_results import ENVIRONMENT, FINGERPRINT, save_made, save_made_evaluation

from df_heads.benchmarks import run_speed, run_table6
from df_heads.benchmarks.harness.base.errors import InputError
from df_heads.benchmarks.harness.evaluate.probes import Probes
from df_heads.benchmarks.harness.report.facts import cost, data_notes, versions
from df_heads.benchmarks.harness.report.result_files import (
    DataCopy,
    Origin,
    ResultFile,
    result_files,
)
from df_heads.benchmarks.harness.store.results import ResultFolder
from df_heads.benchmarks.harness.tables.blocks import Code

LOSS = ["--parts", "loss", "--device", "cpu"]


def speed_files(folder: Path) -> list[ResultFile]:
    return result_files(run_speed.BENCHMARK, run_speed.parse(LOSS), ResultFolder(folder))


def test_a_table_of_runs_asks_for_each_run_and_its_evaluations(tmp_path: Path) -> None:
    results = ResultFolder(tmp_path)
    args = run_table6.parse(["--heads", "transformer", "--datasets", "cifar10", "cifar10"])
    experiment = run_table6.jobs(args)[0].experiment
    save_made(results, experiment)
    save_made_evaluation(results, experiment, Probes(), seconds={"a": 1.0, "b": 2.0})
    run, probes = result_files(run_table6.BENCHMARK, args, results)
    assert (run.name, run.evaluation) == (f"{experiment.name}.json", "")
    assert run.origin == Origin(ENVIRONMENT, 2.0, DataCopy("cifar10", FINGERPRINT, ""), 100)
    assert (probes.name, probes.evaluation) == (f"probes/{experiment.name}.json", "probes")
    assert probes.origin == Origin(ENVIRONMENT, 3.0)
    nowhere = ResultFolder(tmp_path / "nowhere", create=False)
    missing = result_files(run_table6.BENCHMARK, args, nowhere)
    assert [(file.name, file.origin) for file in missing] == [(run.name, None), (probes.name, None)]
    assert not nowhere.path.exists()


def test_a_file_of_another_kind_tells_what_made_it(tmp_path: Path) -> None:
    assert speed_files(tmp_path) == [ResultFile("speed-loss-cpu.json", None)]
    content = {"environment": msgspec.to_builtins(ENVIRONMENT), "seconds": 7}
    (tmp_path / "speed-loss-cpu.json").write_text(json.dumps(content))
    assert speed_files(tmp_path)[0].origin == Origin(ENVIRONMENT, 7.0)


@pytest.mark.parametrize(
    "changes", [{"environment": None}, {"environment": {"torch": 1}}, {"seconds": "long"}]
)
def test_a_file_without_its_environment_is_refused(changes: dict[str, Any], tmp_path: Path) -> None:
    content = {"environment": msgspec.to_builtins(ENVIRONMENT), **changes}
    (tmp_path / "speed-loss-cpu.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"speed-loss-cpu\.json is damaged \(its environment or"):
        speed_files(tmp_path)


def test_facts_tell_each_thing_once() -> None:
    copy = DataCopy("cifar10", "f00d", "AVIF")
    other = msgspec.structs.replace(ENVIRONMENT, packages={"torch": "2.10", "timm": None})
    origins = [Origin(ENVIRONMENT, 60.0, copy), Origin(other, None, copy), Origin(ENVIRONMENT)]
    assert cost(origins) == "60 s (3 result files, 2 without a time)"
    assert cost(origins[2:]) == "not recorded (1 result file)"
    assert versions(origins) == "Python 3.11, torch 2.9 or 2.10, timm None"
    assert data_notes(origins) == ["cifar10 ", Code("f00d"), ", AVIF"]

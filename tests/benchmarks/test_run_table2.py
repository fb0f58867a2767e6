import json
import subprocess
import sys
from pathlib import Path

import pytest
from made_results import save_made

from df_heads.benchmarks import run_table2
from df_heads.benchmarks.harness.base.experiment import UNTRAINED
from df_heads.benchmarks.harness.plan.cells import cell
from df_heads.benchmarks.harness.plan.flags import run_script
from df_heads.benchmarks.harness.store.results import ResultFolder
from df_heads.benchmarks.harness.tables.text import to_terminal

QUICK = ["--datasets", "digits", "--sizes", "small", "--backbone", "test_resnet", "--epochs", "1"]
QUICK += [
    "--image-size",
    "16",
    "--train-images",
    "100",
    "--batch-size",
    "50",
    "--accelerator",
    "cpu",
]
QUICK += ["--no-progress", "--logger", "none"]


def save(
    results: ResultFolder, arguments: list[str], head: str, seed: int, accuracy: float
) -> None:
    """A result file as a run writes it, with a chosen accuracy."""
    args = run_table2.parse(arguments)
    save_made(
        results,
        cell(args, "cifar10", head, seed),
        metrics={"unsupervised": accuracy, "supervised": accuracy + 10},
        seconds={"train": 120.0, "evaluate": 1.0},
    )


def shown(arguments: list[str], results: ResultFolder) -> str:
    return to_terminal(run_table2.table(run_table2.parse(arguments), results))


def test_the_table_is_made_from_the_result_files(tmp_path: Path) -> None:
    results = ResultFolder(tmp_path)
    arguments = ["--datasets", "cifar10", "--sizes", "small", "--seeds", "0", "1"]
    for seed, accuracies in ((0, (20.0, 70.0, 73.0)), (1, (21.0, 71.0, 76.0))):
        for head, accuracy in zip(
            (UNTRAINED, "feedforward-small", "transformer-small"), accuracies, strict=True
        ):
            save(results, arguments, head, seed, accuracy)
    table, gains, legend = shown(arguments, results).split("\n\n")
    _, _, untrained, feedforward, transformer, attention_off = map(columns, table.split("\n"))
    assert untrained[2:6] == ["untrained", "", "", "20.50 ± 0.71"]
    assert feedforward[3:9] == ["small", "2.00M", "70.50 ± 0.71", "73.49", "80.50 ± 0.71", "80.88"]
    assert transformer[5:7] == ["74.50 ± 2.12", "76.65"]
    assert transformer[9:] == ["2.0 min", "2.53 h", "2"]
    assert attention_off[2:6] == ["transformer-self", "small", "", "not run"]
    # Gains of 3 and 5 points: 4 +- 12.706 * 1.414 / sqrt(2).
    header, _, gain = map(columns, gains.split("\n"))
    assert header[2:5] == ["size", "what", "over"]
    assert gain[2:8] == [
        "small",
        "transformer",
        "feedforward",
        "+4.00",
        "-8.71 to +16.71",
        "undecided",
    ]
    assert gain[-1] == "2"
    assert "about one is called better or worse by chance" in legend


def columns(line: str) -> list[str]:
    return [text.strip() for text in line.strip("|").split("|")]


def test_verdicts_stand_beside_the_gains(tmp_path: Path) -> None:
    results = ResultFolder(tmp_path)
    arguments = ["--datasets", "cifar10", "--sizes", "small", "--seeds", "0", "1", "2"]
    for seed in (0, 1, 2):
        save(results, arguments, "feedforward-small", seed, 70.0 + 3 * seed)
        save(results, arguments, "transformer-small", seed, 72.0 + 3.1 * seed)
        save(results, arguments, "transformer-self-small", seed, 72.0 + 3 * seed)
    _, gains, _ = shown(arguments, results).split("\n\n")
    said = {tuple(row[3:5]): row[7] for row in map(columns, gains.split("\n")[2:])}
    assert said == {
        ("transformer", "feedforward"): "better",
        ("transformer", "attention off"): "undecided",
        ("transformer-self", "feedforward"): "undecided",
    }


def test_learning_rates_of_single_heads() -> None:
    rates = ["--learning-rates", "feedforward=0.1", "transformer-large=0.03"]
    args = run_table2.parse([*rates, "--learning-rate", "0.6"])
    found = {
        head: cell(args, "cifar10", head, 0).learning_rate
        for head in ("feedforward-small", "feedforward-large", "transformer-small")
    }
    assert found == {"feedforward-small": 0.1, "feedforward-large": 0.1, "transformer-small": 0.6}
    assert cell(args, "cifar10", "transformer-large", 0).learning_rate == 0.03
    assert cell(args, "cifar10", "transformer-self-large", 0).learning_rate == 0.6
    assert cell(args, "cifar10", UNTRAINED, 0) == cell(
        run_table2.parse([]), "cifar10", UNTRAINED, 0
    )


def test_the_table_of_another_method_says_so(tmp_path: Path) -> None:
    results = ResultFolder(tmp_path)
    arguments = ["--datasets", "cifar10", "--sizes", "small", "--heads", "feedforward"]
    save(results, arguments, "feedforward-small", 0, 30.0)
    save(results, [*arguments, "--method", "byol"], "feedforward-small", 0, 45.0)
    assert len(list(tmp_path.glob("cifar10-resnet18-byol-feedforward-small-*.json"))) == 1
    simclr = shown(arguments, results)
    byol = shown([*arguments, "--method", "byol"], results)
    assert "30.00" in simclr
    assert "45.00" not in simclr
    assert "73.49" in simclr
    row = [cell.strip() for cell in byol.splitlines()[3].strip("|").split("|")]
    # The paper has no BYOL, so its columns are left out.
    assert row[2:] == ["byol feedforward", "small", "2.00M", "45.00", "55.00", "2.0 min", "1"]


def test_table_only_runs_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--datasets", "cifar10", "--table-only", "--out-dir", str(tmp_path)]
    assert run_script(run_table2.main, [*arguments, "--data-dir", "/no/such/folder"]) == 0
    assert capsys.readouterr().out.count("not run") == 14
    assert [file.name for file in tmp_path.iterdir()] == ["table2.md"]


def test_a_collapsed_run_is_marked(tmp_path: Path) -> None:
    results = ResultFolder(tmp_path)
    arguments = ["--datasets", "cifar10", "--sizes", "small", "--heads", "transformer"]
    experiment = cell(run_table2.parse(arguments), "cifar10", "transformer-small", 0)
    for loss, mark in ((6.0, False), (7.62, True)):
        save(results, arguments, "transformer-small", 0, 50.0)
        result = json.loads(results.file(experiment).read_text())
        result["metrics"] |= {"final_train_loss": loss, "collapse_loss": 7.624}
        results.file(experiment).write_text(json.dumps(result))
        table = shown(arguments, results)
        assert ("transformer (collapsed)" in table) == mark


def test_results_of_another_budget_do_not_enter_the_table(tmp_path: Path) -> None:
    results = ResultFolder(tmp_path)
    arguments = ["--datasets", "cifar10", "--sizes", "small", "--heads", "feedforward"]
    save(results, [*arguments, "--epochs", "5"], "feedforward-small", 0, 30.0)
    table = shown(arguments, results)
    assert "30.00" not in table
    assert table.splitlines()[3].count("not run") == 2


@pytest.mark.slow
def test_the_script_runs_what_is_missing_and_nothing_twice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [*QUICK, "--out-dir", str(tmp_path / "out"), "--cache-dir", str(tmp_path / "cache")]
    assert run_script(run_table2.main, [*arguments, "--heads", "transformer"]) == 0
    first = {file: file.stat().st_mtime_ns for file in (tmp_path / "out").glob("*.json")}
    assert len(first) == 2
    assert run_script(run_table2.main, [*arguments, "--heads", "transformer", "feedforward"]) == 0
    assert "3 runs, 2 of them done before." in capsys.readouterr().out
    assert len(list((tmp_path / "out").glob("*.json"))) == 3
    assert all(file.stat().st_mtime_ns == before for file, before in first.items())
    assert "| feedforward" in (tmp_path / "out" / "table2.md").read_text()


@pytest.mark.slow
def test_two_processes_share_a_run(tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = [*QUICK, "--devices", "2", "--heads", "feedforward", "transformer"]
    arguments += ["--out-dir", str(out), "--cache-dir", str(tmp_path / "cache")]
    done = subprocess.run(
        [sys.executable, run_table2.__file__, *arguments],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Table:") == 1
    assert len(list(out.glob("*.json"))) == 3


@pytest.mark.slow
def test_results_of_other_images_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [*QUICK, "--heads", "feedforward", "--epochs", "1"]
    arguments += ["--out-dir", str(tmp_path / "out"), "--cache-dir", str(tmp_path / "cache")]
    assert run_script(run_table2.main, arguments) == 0
    for file in (tmp_path / "out").glob("*.json"):
        result = json.loads(file.read_text())
        result["data"]["fingerprint"] = "f" * 16
        file.write_text(json.dumps(result))
    before = {file: file.read_text() for file in (tmp_path / "out").glob("*.json")}
    assert run_script(run_table2.main, arguments) == 2
    assert "was made from other images of digits" in capsys.readouterr().err
    assert all(file.read_text() == text for file, text in before.items())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--datasets", "cifar11"], "there is no data set 'cifar11'; did you mean 'cifar10'?"),
        (["--heads", "mlp"], "there is no head 'mlp'; choose from feedforward"),
        (["--learning-rates", "mlp=0.1"], "there is no head 'mlp'; choose from feedforward"),
        (["--learning-rates", "transformer=0"], "must be HEAD=RATE with a rate above 0"),
        (["--learning-rates", "transformer"], "must be HEAD=RATE with a rate above 0"),
        (["--shard", "3/2"], "'3/2' must be i/n with i from 1 to n"),
        (["--sizes", "tiny"], "invalid choice: 'tiny'"),
        (["--views", "both"], "invalid choice: 'both'"),
        (["--backbone", "resnet19"], "no backbone 'resnet19'. Did you mean"),
        (["--batch-size", "1"], "--batch-size 1 must be a number from 2"),
        (["--batch-size", "101"], "batch_size=101 is more than the 100 training images"),
        (["--epochs", "-1"], "--epochs -1 must be a number from 0"),
        (["--devices", "0"], "--devices 0 must be a number from 1"),
        (["--learning-rate", "0"], "--learning-rate 0.0 must be a number above 0"),
        (["--temperature", "-1"], "--temperature -1.0 must be a number above 0"),
        (["--method", "mae"], "there is no method 'mae'; choose from simclr"),
        (["--method", "byol", "--temperature", "0.3"], "temperature=0.3 has no meaning for byol"),
        (["--method", "byol", "--queue-size", "64"], "queue_size=64 has no meaning for byol"),
        (["--teacher-momentum", "0.9"], "teacher_momentum=0.9 has no meaning for simclr"),
        (["--method", "moco", "--queue-size", "99"], "queue_size=99 cannot hold the 100 keys"),
        (
            ["--method", "moco", "--teacher-momentum", "2"],
            "momentum 2.0 must be a number from",
        ),
        (["--datasets", "folder"], "--data-dir"),
        (["--datasets", "cifar10", "--data-dir", "/no/such/folder"], "/no/such/folder"),
        (["--accelerator", "gpu"], "no GPU"),
    ],
)
def test_bad_input_gets_one_sentence_and_exit_code_2(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    everything = [*QUICK, "--heads", "feedforward", "--out-dir", str(tmp_path / "out")]
    everything += ["--cache-dir", str(tmp_path / "cache"), *arguments]
    try:
        code = run_script(run_table2.main, everything)
    except SystemExit as stop:  # argparse
        code = int(str(stop.code))
    error = capsys.readouterr().err
    assert code == 2
    assert message in error
    assert "Traceback" not in error
    assert error.count("error:") == 1

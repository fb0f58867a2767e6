import importlib.metadata
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from drawn_shapes import draw_folder

import df_heads
from df_heads.integrations.command import main as module
from df_heads.integrations.command.main import GROUP, main

HEAVY = {"torch", "lightly", "pytorch_lightning", "timm", "numpy", "matplotlib"}
TINY = ["--epochs", "2", "--batch-size", "8", "--image-size", "16", "--backbone", "test_resnet"]

pytestmark = pytest.mark.skipif(
    not importlib.metadata.entry_points(group=GROUP),
    reason="df-heads was installed before it had commands: pip install -e . again",
)


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_folder(tmp_path_factory.mktemp("pictures") / "shapes", 24, size=(20, 20))


def started(*words: str | Path) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "df_heads.integrations.command.main", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


@pytest.mark.parametrize("words", [["--help"], [], ["train", "--help"]])
def test_help_is_light(words: list[str]) -> None:
    code = (
        "import sys; from df_heads.integrations.command.main import main\n"
        f"try: main({words})\nexcept SystemExit: pass\n"
        f"print(sorted({HEAVY!r} & {{name.partition('.')[0] for name in sys.modules}}))"
    )
    before = time.process_time()
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"
    assert time.process_time() - before < 1


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    printed = capsys.readouterr().out
    names = [line.split()[0] for line in printed.splitlines() if line.startswith("  ")]
    assert {"train", "evaluate", "completion", "tables", "speed", "report"} <= set(names)
    assert names[0] == "train"
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"df-heads {df_heads.__version__}\n"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("train x --lr 1", "there is no flag --lr; did you mean --learning-rate?"),
        ("train x --batchsize 1", "there is no flag --batchsize; did you mean --batch-size?"),
        ("train x --size 1", "there is no flag --size; did you mean --batch-size?"),
        ("train x --method simcrl", "'simcrl' is not known; did you mean simclr?"),
        ("train x --head transfomer", "'transfomer' is not known; did you mean transformer?"),
        ("train", "the following arguments are required: FOLDER"),
        ("train x --epochs many", "argument --epochs: invalid int value: 'many'"),
    ],
)
def test_a_mistyped_flag_or_name_is_guessed(
    words: str, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words.split())
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert sentence in said
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("trian x", "the command 'trian' is not known; did you mean train?"),
        ("tables tabel2", "there is no table 'tabel2'; did you mean table2?"),
        ("train nowhere", "nowhere does not exist"),
        ("evaluate nowhere nowhere", "there is no run folder nowhere"),
    ],
)
def test_bad_input_is_one_sentence_and_code_2(
    words: str, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words.split()) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert sentence in said
    assert said.count("\n") == 1


def test_train_in_a_pipe_and_evaluate(
    shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    done = started("train", shapes, "--out", run, *TINY)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "\r" not in done.stdout
    lines = done.stdout.splitlines()
    assert sum(line.startswith("epoch ") for line in lines) == 2
    assert lines[-1].split() == ["df-heads", "evaluate", str(run), str(shapes)]
    assert main(["evaluate", str(run), str(shapes)]) == 0
    printed = capsys.readouterr()
    assert "linear probe, 10% of labels" in printed.out
    assert printed.err == ""


@pytest.mark.slow
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_process_goes_on(shapes: Path, tmp_path: Path, signum: int) -> None:
    words = ["train", str(shapes), "--out", str(tmp_path / "run"), *TINY, "--epochs", "500"]
    process = subprocess.Popen(
        [sys.executable, "-m", "df_heads.integrations.command.main", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("epoch   3/500"):
            break
    process.send_signal(signum)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 128 + signum
    assert "the same command goes on from the last checkpoint" in said
    assert "Traceback" not in said
    process = subprocess.Popen(
        [sys.executable, "-m", "df_heads.integrations.command.main", *words],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    went_on = [next(process.stdout) for _ in range(9)]
    os.kill(process.pid, signal.SIGTERM)
    process.communicate(timeout=60)
    assert any(line.startswith("going on from") for line in went_on)
    assert not any(line.startswith("epoch   1/500") for line in went_on)


def test_tables_lists_them_and_opens_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tables"]) == 0
    assert "table2" in capsys.readouterr().out
    with pytest.raises(SystemExit) as ended:
        main(["tables", "table2", "--help"])
    assert ended.value.code == 0
    assert "--smoke" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["speed", "--help"])
    assert "--device" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["report", "--help"])
    assert "--results" in capsys.readouterr().out


def test_completion(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("shtab")
    assert main(["completion", "bash"]) == 0
    script = capsys.readouterr().out
    for word in ("train", "evaluate", "--learning-rate", "--skip-unreadable"):
        assert word in script
    monkeypatch.setitem(sys.modules, "shtab", None)
    assert main(["completion", "zsh"]) == 2
    assert "pip install shtab" in capsys.readouterr().err


def test_a_command_that_does_not_import_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = importlib.metadata.EntryPoint("mine", "no.such.module", GROUP)
    monkeypatch.setattr(module, "entry_points", lambda group: [broken])
    assert main(["mine"]) == 2
    assert "'mine' (no.such.module) does not import" in capsys.readouterr().err


def test_a_missing_package_and_a_full_disk_are_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run_with(error: Exception) -> int:
        def run(_: object) -> int:
            raise error

        command = SimpleNamespace(name="x", help="y", add_arguments=lambda _: None, run=run)
        monkeypatch.setattr(module, "find_command", lambda _: command)
        return main(["x"])

    assert run_with(ImportError("x needs y: pip install y")) == 2
    assert run_with(OSError(28, "No space left on device", "a.txt")) == 2
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "error: x needs y: pip install y"
    assert said[1].startswith("error: a.txt: no space left on device; make room there")
    with pytest.raises(ImportError, match="no torch"):
        run_with(ImportError("no torch"))

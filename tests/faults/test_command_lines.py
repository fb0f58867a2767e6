"""Command lines that cannot be: one sentence that names the flag, exit code 2, nothing written."""

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from df_heads.benchmarks import run_speed, run_table1, run_table2
from df_heads.benchmarks.harness.plan.flags import run_script
from df_heads.integrations.backbones import build_backbone

#: Flag -> values that it cannot have.
BAD_VALUES: dict[str, Sequence[str]] = {
    "--weight-decay": ("-1", "nan", "inf", "1e40", "x", ""),
    "--learning-rate": ("0", "-1", "nan", "inf", "1e40", "x"),
    "--gradient-clip": ("0", "-1", "nan", "inf", "1e40"),
    "--temperature": ("0", "-1", "nan", "inf", "1e300"),
    "--warmup-fraction": ("-0.1", "1", "2", "nan", "inf"),
    "--imbalance": ("0", "-1", "nan", "inf"),
    "--teacher-momentum": ("-1", "2", "nan", "inf"),
    "--seeds": ("-1", "4294967296", "1.5", "x", "nan"),
    "--epochs": ("0", "-1", "1.5", "99999999999999999999", "x"),
    "--batch-size": ("0", "1", "-2", "99999999999", "2.0"),
    "--image-size": ("0", "-8", "7", "100000", "x"),
    "--train-images": ("0", "1", "-1", "5", "100000000"),
    "--devices": ("0", "-1", "99999999", "x"),
    "--workers": ("-1", "100000", "1.5", "x"),
    "--checkpoint-minutes": ("0", "-1", "nan", "x"),
    "--queue-size": ("0", "-1", "x"),
    "--loss-chunk-size": ("0", "-1", "x"),
    "--backbone": ("", " ", "nosuch", "../../../x", "/etc/passwd", "a/b", "..", "x\0y", "résumé"),
    "--heads": ("", "nosuch", "../x"),
    "--datasets": ("", "nosuch", "../x"),
    "--method": ("", "nosuch"),
    "--sizes": ("", "tiny"),
    "--views": ("both",),
    "--stem": ("none",),
    "--augment": ("none",),
    "--precision": ("8",),
    "--accelerator": ("tpu",),
    "--logger": ("wandb",),
    "--cache-dir": ("", " ", "a\0b"),
    "--out-dir": ("", " ", "a\0b"),
    "--data-dir": ("", "a\0b"),
    "--shard": ("0/1", "2/1", "x", "1/0", "-1/2"),
    "--learning-rates": ("x", "transformer=", "transformer=nan", "transformer=1e40", "nosuch=1"),
}
NO_COUNT = ("-1", "0", "x", "1.5", "99999999999999999999", "nan")
NO_SEED = ("-1", "x", "1.5", "99999999999999999999")
NO_PLACE = ("", " ", "a\0b", "/dev/null", "/proc/nothing/x", "~nosuchuser/x")

#: Script -> its flags -> values that they cannot have.
OF_SCRIPTS: dict[str, tuple[Sequence[str], dict[str, Sequence[str]]]] = {
    "run_table1": (
        ("--smoke", "--accelerator", "cpu"),
        {
            "--dataset": ("", "nosuch", "../x"),
            "--heads": ("", "nosuch"),
            "--seeds": NO_SEED,
            "--backbone": ("", "../x"),
            "--num-layers": NO_COUNT,
            "--num-heads": NO_COUNT,
            "--out-dir": NO_PLACE,
            "--cache-dir": ("", "a\0b", "~nosuchuser/x"),
            "--data-dir": ("", "a\0b", "~nosuchuser/x"),
            "--image-size": ("7", "0"),
            "--batch-size": ("1", "0"),
        },
    ),
    "run_table3": (
        ("--smoke",),
        {"--seeds": NO_SEED, "--batch-sizes": ("0", "1", "x"), "--datasets": ("nosuch",)},
    ),
    "run_table4": (("--smoke",), {"--seeds": NO_SEED, "--learning-rate": ("nan",)}),
    "run_table5": (("--smoke",), {"--seeds": NO_SEED, "--epochs": ("0",)}),
    "run_table6": (("--smoke",), {"--seeds": NO_SEED, "--heads": ("nosuch", "")}),
    "run_controls": (
        ("--smoke",),
        {"--suites": ("", "nosuch", "../x"), "--equal-time-dim": NO_COUNT, "--seeds": NO_SEED},
    ),
    "run_robustness": (("--smoke",), {"--transfer-to": ("", "nosuch", "../x"), "--seeds": NO_SEED}),
    "run_tuning": (
        ("--smoke",),
        {
            "--rates": ("0", "-1", "nan", "inf", "1e40", "x", ""),
            "--learning-rates": ("nan", "transformer=0.1"),
            "--seeds": NO_SEED,
        },
    ),
    "run_speed": (
        ("--quick", "--device", "cpu"),
        {
            "--parts": ("", "nosuch"),
            "--backbone": ("", "nosuch", "../../x"),
            "--heads": ("", "nosuch"),
            "--batch-size": ("0", "-1", "1", "x"),
            **dict.fromkeys(
                ("--steps", "--step-repeats", "--repeats", "--tokens", "--memory-tokens"),
                ("0", "-1", "x"),
            ),
            **dict.fromkeys(
                ("--max-tokens", "--scaling-repeats", "--loss-chunk-size"), ("0", "-1", "x")
            ),
            "--loss-samples": ("0", "-1", "1", "3", "x"),
            "--workers": ("0", "-1", "x", "100000"),
            "--precision": ("8", "16-mixed"),
            "--out-dir": NO_PLACE,
        },
    ),
    "run_stability": (
        ("--smoke",),
        {
            **dict.fromkeys(("--heads", "--methods", "--backbones"), ("", "nosuch")),
            "--batch-sizes": ("0", "-1", "1", "x", "100000"),
            "--steps": ("0", "-1", "1", "x", "99999999999999999999"),
            "--seeds": (*NO_SEED, "4294967296"),
            "--out-dir": NO_PLACE,
        },
    ),
    "run_theory": (
        ("--smoke",),
        {
            "--seeds": (*NO_SEED, "4294967296"),
            "--blocks": ("0", "1", "101", "x"),
            "--out-dir": NO_PLACE,
        },
    ),
    "run_report": ((), {"--results": (*NO_PLACE, "nothing"), "--out": ("", "a\0b")}),
    "run_all": (("--smoke",), {"--tables": ("0", "9", "x", ""), "--out-dir": ("", "a\0b")}),
}
LINES = [
    (script, flag, value)
    for script, (_, flags) in OF_SCRIPTS.items()
    for flag, values in flags.items()
    for value in values
]
CASES = [(flag, value) for flag, values in BAD_VALUES.items() for value in values]


def outcome(main: Any, arguments: Sequence[str]) -> int:
    try:
        return run_script(main, arguments)
    except SystemExit as stop:  # argparse
        return int(str(stop.code))


@pytest.mark.parametrize(("flag", "value"), CASES)
@pytest.mark.usefixtures("in_time")
def test_bad_values(
    flag: str,
    value: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    arguments = [
        *("--datasets", "digits", "--heads", "transformer", "--sizes", "small", "--epochs", "1"),
        *("--backbone", "test_resnet", "--image-size", "16", "--batch-size", "64"),
        *("--accelerator", "cpu", "--no-progress", "--out-dir", str(tmp_path / "out")),
    ]
    if flag == "--queue-size":
        arguments += ["--method", "moco"]
    code = outcome(run_table2.main, [*arguments, f"{flag}={value}"])
    said = capsys.readouterr().err
    assert code == 2, said
    assert "Traceback" not in said
    assert len(said.strip().splitlines()[-1]) < 1000
    assert not list((tmp_path / "here").iterdir())
    assert not list(tmp_path.glob("out/*.json"))
    assert {place.name for place in tmp_path.iterdir()} <= {"here", "out"}


@pytest.mark.parametrize(("script", "flag", "value"), LINES)
@pytest.mark.usefixtures("in_time")
def test_bad_values_of_each_script(
    script: str,
    flag: str,
    value: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    module = importlib.import_module(f"df_heads.benchmarks.{script}")
    arguments = [*OF_SCRIPTS[script][0], f"{flag}={value}"]
    if script != "run_report" and flag != "--out-dir":
        arguments += ["--out-dir", str(tmp_path / "out")]
    main = getattr(module, "main", None) or module.BENCHMARK.main
    assert outcome(main, arguments) == 2
    said = capsys.readouterr().err
    assert "Traceback" not in said
    assert len(said.strip().splitlines()[-1]) < 1000
    assert not list((tmp_path / "here").iterdir())
    assert not [file for file in tmp_path.rglob("*.json") if "locks" not in file.parts]


@pytest.mark.parametrize("name", ["vgg11", "densenet121", "inception_v3"])
def test_images_that_are_too_small_for_a_backbone(name: str) -> None:
    with pytest.raises(ValueError, match=f"timm's {name} cannot take images of 8 x 8 .*; raise"):
        build_backbone(name, image_size=8)


def test_the_speed_of_a_backbone_that_is_not_known(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = outcome(run_speed.main, ["--backbone", "nosuch", "--out-dir", str(tmp_path / "out")])
    assert code == 2
    said = capsys.readouterr().err
    assert "timm has no backbone 'nosuch'" in said
    assert "measuring" not in said


@pytest.mark.parametrize("flag", ["--num-layers", "--num-heads"])
@pytest.mark.parametrize("value", ["0", "-1", "x"])
def test_bad_values_of_table_1(
    flag: str, value: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--smoke", "--accelerator", "cpu", "--out-dir", str(tmp_path / "out")]
    assert outcome(run_table1.main, [*arguments, f"{flag}={value}"]) == 2
    assert "Traceback" not in capsys.readouterr().err

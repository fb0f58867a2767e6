"""Command lines that cannot be: one sentence that names the flag, exit code 2, nothing written."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from df_heads.benchmarks import run_speed, run_table1, run_table2
from df_heads.benchmarks.harness.plan.flags import run_script
from df_heads.integrations.backbones import build_backbone
from df_heads.integrations.simclr import SimCLR

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
CASES = [(flag, value) for flag, values in BAD_VALUES.items() for value in values]


def outcome(main: Any, arguments: Sequence[str]) -> int:
    try:
        return run_script(main, arguments)
    except SystemExit as stop:  # argparse
        return int(str(stop.code))


@pytest.mark.parametrize(("flag", "value"), CASES)
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


@pytest.mark.parametrize("name", ["vgg11", "densenet121", "inception_v3"])
def test_images_that_are_too_small_for_a_backbone(name: str) -> None:
    with pytest.raises(ValueError, match=f"timm's {name} cannot take images of 8 x 8 .*; raise"):
        build_backbone(name, image_size=8)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"head": None}, "head=None must be a name or a module"),
        ({"backbone": 18}, "backbone=18 must be a name or a module"),
        ({"image_size": 0}, "image_size=0 must be at least 1"),
        ({"momentum": 2.0}, "momentum=2.0 must be at least 0 and below 1"),
        ({"momentum": float("nan")}, "momentum=nan must be"),
        ({"weight_decay": -1.0}, "weight_decay=-1.0 must be at least 0"),
        ({"weight_decay": float("nan")}, "weight_decay=nan must be"),
    ],
)
def test_arguments_of_a_method(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises((TypeError, ValueError), match=sentence):
        SimCLR(**{"backbone": "test_resnet", **options})


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

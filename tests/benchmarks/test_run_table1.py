import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from df_heads.benchmarks import run_table1
from df_heads.benchmarks.harness.base.errors import InputError
from df_heads.benchmarks.harness.evaluate import fusing
from df_heads.benchmarks.harness.plan.flags import run_script
from df_heads.benchmarks.harness.sweep import missing

FLAGS = [
    *("--dataset", "digits", "--image-size", "16", "--batch-size", "64", "--epochs", "1"),
    *("--num-layers", "2", "--num-heads", "2", "--learning-rate", "0.05"),
    *("--accelerator", "cpu", "--logger", "none", "--no-progress"),
]


def table1(out_dir: Path, *flags: str) -> int:
    return run_script(run_table1.main, [*FLAGS, "--out-dir", str(out_dir), *flags])


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out_dir = tmp_path_factory.mktemp("table1")
    assert table1(out_dir) == 0
    return out_dir


@pytest.mark.slow
def test_one_command_makes_table_and_figures(
    finished: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = (finished / "table1-digits-1ep.md").read_text().splitlines()
    table = [line for line in lines if line.startswith("|")]
    assert [row.split("|")[1].strip() for row in table[2::2]] == list(run_table1.HEADS)
    for figure in ("measures", *(f"{head}-attention" for head in run_table1.HEADS)):
        assert (finished / f"table1-digits-1ep-{figure}.png").read_bytes()[1:4] == b"PNG"
    uniform = next(row for row in table if "transformer-uniform" in row).split("|")
    # Uniform attention gives the class its share in every layer: the chance level.
    assert len({cell.strip() for cell in uniform[3:7]}) == 1

    def untouchable(*_args: Any, **_options: Any) -> None:
        raise AssertionError("it was trained or measured again")

    monkeypatch.setattr(missing, "run", untouchable)
    monkeypatch.setattr(fusing, "measure_snapshots", untouchable)
    assert table1(finished) == 0
    assert table[3] in capsys.readouterr().out


@pytest.mark.slow
def test_measuring_again_does_not_train_again(
    finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (file,) = finished.glob("*-transformer-small-*.fusion.json")
    before = json.loads(file.read_text())
    file.unlink()

    def untouchable(*_args: Any, **_options: Any) -> None:
        raise AssertionError("it was trained again")

    monkeypatch.setattr(missing, "run", untouchable)
    assert table1(finished, "--heads", "transformer") == 0
    assert json.loads(file.read_text())["epochs"] == before["epochs"]
    assert set(before["epochs"]) == {"0", "1"}


@pytest.mark.slow
def test_lost_weights_are_trained_again(finished: Path) -> None:
    (file,) = finished.glob("*-transformer-uniform-small-*.fusion.json")
    before = json.loads(file.read_text())
    file.unlink()
    for weights in finished.glob("work/*-transformer-uniform-small-*/*.pt"):
        weights.unlink()
    assert table1(finished, "--heads", "transformer-uniform") == 0
    assert json.loads(file.read_text())["epochs"] == before["epochs"]


@pytest.mark.slow
def test_joint_views_tell_the_pair_apart(tmp_path: Path) -> None:
    assert table1(tmp_path, "--heads", "transformer", "--views", "joint") == 0
    (file,) = tmp_path.glob("*.fusion.json")
    content = json.loads(file.read_text())
    assert content["data"]["tokens"] == 2 * 60
    assert all(layer["pair_mass"] for layer in content["epochs"]["1"]["layers"])


@pytest.mark.slow
def test_damaged_files(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (maps,) = finished.glob("*-transformer-tied-small-*.npz")
    whole = maps.read_bytes()
    maps.write_bytes(b"nothing")
    assert table1(finished, "--table-only") == 2
    assert "its .npz is damaged" in capsys.readouterr().err
    maps.write_bytes(whole)


def test_nothing_run_yet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert table1(tmp_path, "--table-only", "--heads", "transformer") == 0
    assert "not run" in capsys.readouterr().out
    assert not list(tmp_path.glob("*.png"))


def test_a_batch_without_two_of_a_class(tiny_data: Any) -> None:
    images, labels = fusing._balanced_images(tiny_data, 9)
    assert images.shape == (8, 3, 16, 16)
    assert labels.tolist() == [0] * 4 + [1] * 4
    assert np.array_equal(images.numpy()[:4], tiny_data.test_images[tiny_data.test_labels == 0][:4])
    with pytest.raises(InputError, match="3 test images holds 1 of each of the 2 classes"):
        fusing._balanced_images(tiny_data, 3)

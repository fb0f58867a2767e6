"""Every example runs as its first lines say, on a small budget."""

import math
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

EXAMPLES = Path(__file__).parents[2] / "examples"


def run(name: str, *flags: str, folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / name), *flags],
        capture_output=True,
        text=True,
        cwd=folder,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_lightly_simclr(tmp_path: Path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    for number in range(32):
        noise = np.random.default_rng(number).integers(0, 255, (32, 32, 3), dtype=np.uint8)
        Image.fromarray(noise).save(images / f"{number}.png")
    flags = ["--epochs", "2", "--batch-size", "16", "--workers", "0"]
    out = run("lightly_simclr.py", str(images), *flags, folder=tmp_path)
    loss = re.search(r"^loss (\d+\.\d+)$", out, re.M)
    assert loss is not None
    assert 0 < float(loss[1]) < 10


@pytest.mark.slow
def test_timm_vit(tmp_path: Path) -> None:
    out = run("timm_vit.py", "--epochs", "1", "--batch-size", "256", folder=tmp_path)
    (loss,) = re.findall(r"^epoch 1: loss (\d+\.\d+), \d+\.\d %$", out, re.M)
    assert 0 < float(loss) < 10


@pytest.mark.slow
def test_ddp_simclr(tmp_path: Path) -> None:
    out = run("ddp_simclr.py", "--devices", "2", folder=tmp_path)
    # 1797 images: 899 on each process, 14 batches of 64 in each of 2 epochs.
    (loss,) = re.findall(r"2 processes, 28 steps, loss ([\d.]+)", out)
    # A collapsed head stays at the logarithm of the 2 * 128 - 1 others of all processes.
    assert float(loss) < math.log(255) - 0.2


@pytest.mark.slow
@pytest.mark.parametrize("views", ["separate", "joint"])
def test_stable_pretraining_simclr(views: str, tmp_path: Path) -> None:
    pytest.importorskip("stable_pretraining", reason="stable-pretraining is not installed")
    flags = ["--epochs", "1", "--views", views]
    out = run("stable_pretraining_simclr.py", *flags, folder=tmp_path)
    (accuracy,) = re.findall(r"^epoch 1: kNN accuracy of the views' features ([\d.]+)$", out, re.M)
    assert float(accuracy) > 0.15  # chance is 0.1

"""The wheel in an environment of torch, einops and what these two need, and nothing else."""

import importlib.metadata
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = """
import importlib.util
import sys

import torch

import df_heads
from df_heads import FeedForwardProjectionHead, TransformerProjectionHead, build_head
from df_heads.augment import SimCLRAugment, TwoViews
from df_heads.collapse import CollapseWatch, measure_collapse
from df_heads.evaluation import knn_accuracy, linear_probe_accuracy, nearest_neighbor_accuracy
from df_heads.fusion import measure_fusion, record_attention
from df_heads.fusion.theory import *
from df_heads.mlp_probe import *
from df_heads.nt_xent import ChunkedNTXentLoss
from df_heads.sdpa_backends import *

assert df_heads.__file__.startswith(sys.prefix), df_heads.__file__
for absent in ("numpy", "scipy", "lightly", "timm", "torchvision", "pytorch_lightning"):
    assert importlib.util.find_spec(absent) is None, absent

torch.manual_seed(0)
images = torch.randint(0, 256, (32, 3, 16, 16), dtype=torch.uint8)
labels = torch.arange(32) % 4
backbone = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 4, 4), torch.nn.Flatten())
head = TransformerProjectionHead(128, 16, 8, 2, num_heads=2, head_dim=4)
first, second = TwoViews(SimCLRAugment(16))(images)
optimizer = torch.optim.SGD([*backbone.parameters(), *head.parameters()], lr=0.1)
for _ in range(3):
    z0, z1 = head(torch.stack([backbone(first), backbone(second)]))
    loss = ChunkedNTXentLoss(0.2)(z0, z1)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
assert loss.isfinite()
CollapseWatch().take(measure_collapse(z0))
features = backbone(images.float() / 255).detach()
with record_attention(head) as maps:
    head(features)
assert maps[-1].shape == (1, 2, 32, 32)
print(measure_fusion(head, features, labels))
for accuracy in (
    nearest_neighbor_accuracy(features, labels),
    knn_accuracy(features, labels, features, labels, k=3),
    linear_probe_accuracy(features, labels, features, labels),
):
    assert 0 <= accuracy <= 1
assert build_head("feedforward", 128)(features).shape == (32, 512)
assert isinstance(FeedForwardProjectionHead.large(128), torch.nn.Module)
"""


def run(*command: object) -> None:
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr


def needed_by(*names: str) -> set[importlib.metadata.Distribution]:
    """The installed distributions that these need, they themselves among them."""
    found: dict[str, importlib.metadata.Distribution] = {}
    left = list(names)
    while left:
        name = left.pop()
        try:
            distribution = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # of another platform
        if name not in found:
            found[name] = distribution
            for line in distribution.requires or ():
                match = re.match(r"[\w.-]+", line)
                if match is not None and "extra ==" not in line:
                    left.append(match[0])
    return set(found.values())


@pytest.mark.slow
@pytest.mark.skipif(not (ROOT / "setup.cfg").is_file(), reason="there is no source to build from")
def test_the_core_needs_torch_and_einops_only(tmp_path: Path) -> None:
    pytest.importorskip("setuptools", reason="building a wheel needs setuptools")
    source = tmp_path / "source"
    for folder in ("df_heads", "integrations", "benchmarks", "hydra_plugins"):
        ignored = shutil.ignore_patterns("results", "__pycache__")
        shutil.copytree(ROOT / folder, source / folder, ignore=ignored)
    for file in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / file, source)
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-cache-dir")
    run(*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", tmp_path, source)

    run(sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv")
    python = tmp_path / "venv" / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    run(*pip, "--python", python, "install", "--no-deps", *tmp_path.glob("df_heads-*.whl"))
    site = next((tmp_path / "venv").glob("**/site-packages"))
    for distribution in needed_by("torch", "einops"):
        for top in {file.parts[0] for file in distribution.files or () if ".." not in file.parts}:
            place = Path(str(distribution.locate_file(top)))
            if place.exists() and not (site / top).exists():
                (site / top).symlink_to(place)
    # torch says that NumPy is not there.
    run(python, "-I", "-W", "error", "-W", "ignore:Failed to initialize NumPy", "-c", SCRIPT)

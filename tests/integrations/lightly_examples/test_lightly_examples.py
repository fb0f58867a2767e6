"""lightly's examples, each with the head swapped, against docs/lightly-examples.md."""

import os
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("lightly", reason="lightly is not installed")

from importlib import util

HERE = Path(__file__).parent


def load(name: str) -> Any:
    spec = util.spec_from_file_location(name, HERE / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


page = load("write_page")
CLONE = Path(os.environ.get("LIGHTLY_DIR", "."))
SCRIPT = """
import torch
import torchvision
from torch import nn
from torch.utils.data import DataLoader
from torchvision.transforms import ToTensor
from lightly.loss import NTXentLoss
from lightly.models.modules import {head}

class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone = nn.Sequential(nn.Flatten(), nn.Linear(3072, 8))
        self.projection_head = {head}(8, 8, 4)

    def forward(self, x):
        return self.projection_head(self.backbone(x))

model = Model()
data = torchvision.datasets.CIFAR10("unused", download=True, transform=ToTensor())
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for x, _ in torch.utils.data.DataLoader(data, batch_size=32, num_workers=8):
    loss = NTXentLoss()(model(x), model(x + 0.1 * torch.randn_like(x)))
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
"""


@pytest.mark.slow
def test_a_script_is_played_with_either_head(tmp_path: Path) -> None:
    script = tmp_path / "made.py"
    script.write_text(SCRIPT.format(head="SimCLRProjectionHead"))
    for head, replaced in (("df-heads", ["projection_head"]), ("lightly", [])):
        told = page.play(script, head, 3)
        assert told["replaced"] == replaced
        assert len(told["losses"]) == 3
        assert len(set(told["losses"])) == 3
    script.write_text(SCRIPT.format(head="DINOProjectionHead"))
    assert page.outcome(page.play(script, "df-heads", 3)).startswith(
        "refused: projection_head (DINO"
    )


def rows() -> dict[tuple[str, str], str]:
    """Outcome by folder and name, as the page has it."""
    text = page.PAGE.read_text().split(page.BEGIN)[1].split(page.END)[0]
    found = {}
    for line in text.strip().splitlines()[4:]:
        name, folders, what = (cell.strip() for cell in line.split("|")[1:4])
        for folder in page.FOLDERS if folders == "all" else folders.split(", "):
            found[folder, name] = what
    return found


def test_the_page_knows_what_is_replaced_and_what_is_refused() -> None:
    found = rows()
    assert found["pytorch", "vicreg"] == "replaced: `projection_head`"
    assert found["pytorch", "dino"].startswith("refused: student_head (DINOProjectionHead)")


@pytest.mark.skipif("LIGHTLY_DIR" not in os.environ, reason="LIGHTLY_DIR names no clone of lightly")
@pytest.mark.parametrize(
    "script", list(page.examples(CLONE)), ids=lambda s: f"{s.parent.name}/{s.stem}"
)
def test_each_example_does_what_the_page_says(script: Path) -> None:
    said = rows().get((script.parent.name, script.stem))
    if said is None:
        pytest.skip("the page does not have it yet")
    assert page.outcome(page.play(script, "df-heads", 1)) == said

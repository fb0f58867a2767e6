"""A head, a method, a data set, an evaluation and a suite that are not in the project."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from df_heads.benchmarks import run_all, run_controls, run_report, run_table2
from df_heads.benchmarks.harness.plan.flags import run_script

FILES = {
    "head.py": """
from torch import nn

class Head(nn.Sequential):
    def __init__(self, input_dim, hidden_dim, output_dim):
        super().__init__(
            nn.Linear(input_dim, hidden_dim), nn.ReLU(), nn.Linear(hidden_dim, output_dim)
        )

def narrow(input_dim, hidden_dim, output_dim):
    return nn.Linear(input_dim, 3)

NUMBER = 3
""",
    "method.py": '''
from df_heads.integrations.simclr import SimCLR

class Halved(SimCLR):
    """SimCLR with half the loss."""

    def loss(self, views):
        return super().loss(views) / 2
''',
    "images.py": """
import numpy as np
from PIL import Image

from df_heads.benchmarks.harness.data import contents
from df_heads.benchmarks.harness.data.sources import Source

def _split(count):
    labels = np.arange(count) % 2
    shades = np.random.default_rng(count).integers(0, 100, (count, 16, 16, 3)) + 100 * labels[
        :, None, None, None
    ]
    return contents.Split(labels, lambda i: Image.fromarray(shades[i].astype(np.uint8)))

def _read():
    return contents.Contents(_split(64), _split(20), ("dark", "light"))

SHADES = Source(horizontal_flip=True, bundled=lambda: contents.FoundDataset(("shades 1",), _read))
""",
    "evaluation.py": '''
from dataclasses import dataclass

from df_heads.benchmarks.harness.evaluate.evaluation import MetricsEvaluation

@dataclass(frozen=True)
class Weights(MetricsEvaluation):
    """The mean absolute weight of the backbone."""

    @property
    def name(self):
        return "weights"

    @property
    def columns(self):
        return {"mean weight": "mean_weight"}

    def measure(self, run):
        every = [p.detach().abs().mean().item() for p in run.backbone("this").parameters()]
        return {"mean_weight": sum(every) / len(every)}, {}
''',
    "suite.py": """
from df_heads.benchmarks.harness.plan.control_suites import Suite, grid

SUITE = Suite(
    "Does the head of away beat the feed-forward one?",
    lambda args: grid(["feedforward", "away.head:Head"], {"": {}}),
)
""",
    "__init__.py": "",
}
FLAGS = [
    *("--datasets", "away.images:SHADES", "--method", "away.method:Halved", "--sizes", "small"),
    *("--evaluations", "away.evaluation:Weights", "--backbone", "test_resnet"),
    *("--image-size", "16", "--epochs", "1", "--batch-size", "16", "--learning-rate", "0.05"),
    *("--accelerator", "cpu", "--logger", "none", "--no-progress"),
]
SUITE = ["--suites", "away.suite:SUITE"]


@pytest.fixture
def away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a package that the project knows nothing of, as the current one."""
    (tmp_path / "away").mkdir()
    for name, text in FILES.items():
        (tmp_path / "away" / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield tmp_path
    for name in [name for name in sys.modules if name.split(".")[0] == "away"]:
        del sys.modules[name]


@pytest.mark.slow
def test_all_of_it_is_in_the_table_the_report_and_the_status(
    away: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = [*FLAGS, *SUITE]
    there = ["--out-dir", "out", "--cache-dir", "cache"]
    assert run_script(run_controls.main, [*flags, *there]) == 0
    out = capsys.readouterr().out
    assert "away.suite:SUITE: Does the head of away beat the feed-forward one?" in out
    row = next(line for line in out.splitlines() if "| away.method:Halved away.head:Head" in line)
    assert row.split("|")[1].strip() == "away.images:SHADES"
    assert "mean weight" in out
    assert "not run" not in out
    assert "away.head:Head" in out.split("over")[1]

    assert run_script(run_all.main, [*flags, *there, "--tables", "controls", "--status"]) == 0
    status = next(line for line in capsys.readouterr().out.splitlines() if "| Controls" in line)
    assert [cell.strip() for cell in status.split("|")[2:6]] == ["3", "0", "0", "0"]

    command = " ".join(["python", "benchmarks/run_controls.py", *flags])
    manifest = {"sections": [{"title": "Heads from away", "command": command}]}
    Path("out", "report.json").write_text(json.dumps(manifest))
    assert run_script(run_report.main, ["--results", "out"]) == 0
    for page in ("RESULTS.md", "report.html"):
        text = Path("out", page).read_text()
        for name in ("away.head:Head", "away.images:SHADES", "mean weight"):
            assert name in text


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--heads", "away.nothing:Head"], "the head 'away.nothing:Head' does not import"),
        (["--heads", "away.head:Nothing"], "the head 'away.head:Nothing' does not import"),
        (["--heads", "away.head:NUMBER"], "'away.head:NUMBER' is no head: it is a int, not a"),
        (["--heads", "away.head:narrow"], "into (2, 3), not (2, 128): it must give one vector"),
        (["--method", "away.head:Head"], "'away.head:Head' is no method: it must be a class"),
        (["--datasets", "away.head:Head"], "'away.head:Head' is no data set: it must be a"),
        (["--evaluations", "away.head:NUMBER"], "'away.head:NUMBER' is no evaluation: it must"),
        (["--heads", "transfomer"], "did you mean 'transformer'?"),
    ],
)
def test_what_is_none_gets_one_sentence(
    flags: list[str], message: str, away: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [*FLAGS, "--heads", "away.head:Head", *flags, "--out-dir", "out"]
    try:
        code = run_script(run_table2.main, [*arguments, "--cache-dir", "cache"])
    except SystemExit as error:
        code = int(str(error.code))
    assert code == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert message in said

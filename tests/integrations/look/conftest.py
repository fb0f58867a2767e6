from pathlib import Path

import pytest
from drawn_shapes import draw_folder
from made_runs import make_run

from df_heads.integrations.look import plane
from df_heads.integrations.runs import Run

CURVE = "epoch,loss,knn,learning_rate,seconds\n1,2.7,0.25,0.1,1\n2,2.5,,0.1,1\n3,2.2,0.5,0.0,1\n"


@pytest.fixture(autouse=True)
def _no_umap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compiling it would take longer than all of these tests."""
    monkeypatch.setattr(plane, "find_spec", lambda _: None)


@pytest.fixture(scope="session")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 drawn pictures in 4 class folders, one with a name that HTML would misread."""
    folder = draw_folder(tmp_path_factory.mktemp("pictures") / "shapes", 24, size=(40, 32))
    (folder / "star" / "002.png").rename(folder / "star" / '<i>"a" & b.png')
    return folder


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of SimCLR with a curve."""
    return make_run(tmp_path_factory.mktemp("runs") / "run", classes=["a", "b"], curve=CURVE)

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from drawn_shapes import draw_folder

from df_heads.integrations.own_images import train
from df_heads.integrations.runs import Run

TINY: dict[str, Any] = {"epochs": 2, "batch_size": 8, "image_size": 16, "backbone": "test_resnet"}


@pytest.fixture(scope="session")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 pictures in 4 class folders."""
    return draw_folder(tmp_path_factory.mktemp("pictures") / "shapes", 24, size=(20, 20))


@pytest.fixture(scope="session")
def flat(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 pictures in one folder."""
    folder = tmp_path_factory.mktemp("pictures") / "flat"
    return draw_folder(folder, 24, size=(20, 20), flat=True)


@pytest.fixture
def tiny_train() -> Callable[..., Run]:
    """Trains for moments; `said` gets what it says."""

    def call(folder: Path, out: Path, said: list[str] | None = None, **options: Any) -> Run:
        lines = [] if said is None else said
        return train(folder, out, say=lines.append, **{**TINY, **options})

    return call


@pytest.fixture(scope="session")
def trained(shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, list[str]]:
    """A finished run of `shapes`, and what was said."""
    said: list[str] = []
    out = tmp_path_factory.mktemp("runs") / "shapes"
    return train(shapes, out, say=said.append, **TINY), said

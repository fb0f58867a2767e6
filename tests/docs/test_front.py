"""What the front page says of the results is what the result files say."""

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("matplotlib", reason="the figure needs pip install 'df-heads[benchmarks]'")

ROOT = Path(__file__).parents[2]
LONGEST = 150


@pytest.fixture(scope="module")
def front() -> ModuleType:
    spec = importlib.util.spec_from_file_location("front", ROOT / "docs" / "making" / "front.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_the_numbers_of_the_readme_are_those_of_the_results(front: ModuleType) -> None:
    readme = front.README.read_text(encoding="utf-8")
    words = front.words(front.gains())
    assert front.with_words(readme, words) == readme
    assert front.with_words(readme, words.replace("+0", "+9")) != readme


@pytest.mark.slow
def test_a_sentence_that_is_no_longer_true_is_refused(front: ModuleType) -> None:
    found = front.gains()
    better = ("transformer", front.OFF, "unsup.")
    undecided = {**found, better: found["transformer", front.UNIFORM, "unsup."]}
    with pytest.raises(ValueError, match="Write the sentence anew"):
        front.words(undecided)


@pytest.mark.slow
def test_the_figure_is_drawn_from_them(front: ModuleType, tmp_path: Path) -> None:
    front.draw(front.gains(), front.last_layer(), tmp_path / "front.png")
    drawn, kept = (Image.open(file) for file in (tmp_path / "front.png", front.FIGURE))
    assert drawn.size == kept.size
    # Fonts differ between machines, the points and the map do not.
    pixels, others = (np.asarray(each.convert("L"), dtype=float) for each in (drawn, kept))
    assert np.abs(pixels - others).mean() < 5


def test_the_badges_are_those_of_the_package(front: ModuleType) -> None:
    for name, svg in front.badges().items():
        assert (front.BADGES / f"{name}.svg").read_text(encoding="utf-8") == svg


def test_the_readme_can_be_read_in_a_minute() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= LONGEST

"""The notebook of the docs runs from its first cell to its last, and says what it says."""

import re
from pathlib import Path
from typing import Any

import pytest

nbformat = pytest.importorskip("nbformat", reason="the notebook needs pip install 'df-heads[docs]'")
nbclient = pytest.importorskip("nbclient", reason="the notebook needs pip install 'df-heads[docs]'")

FILE = Path(__file__).parents[2] / "docs" / "notebook.ipynb"
LARGEST = 200_000  # bytes, with its figure
TRAINED = re.compile(r"^(\S+): nearest neighbours ([\d.]+)% untrained, ([\d.]+)% trained$", re.M)


def printed(notebook: Any) -> str:
    """What its cells wrote to stdout."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return "".join(output.text for output in outputs if output.get("name") == "stdout")


def same_class(text: str) -> dict[str, float]:
    """Head -> what its last layer gives to others of the class."""
    found = re.findall(r"^(transformer\S+)\n.*?^ +5 +([\d.]+)", text, re.M | re.S)
    return {head: float(mass) for head, mass in found}


def check(text: str) -> None:
    trained = TRAINED.findall(text)
    assert [head for head, *_ in trained] == ["transformer-stable", "transformer-stable-tied"]
    for _, before, after in trained:
        assert float(after) > float(before) + 5
    mass = same_class(text)
    assert mass["transformer-stable"] < 0.2
    assert mass["transformer-stable-tied"] > 0.5


def test_the_outputs_are_kept_and_small() -> None:
    notebook = nbformat.read(FILE, as_version=4)
    check(printed(notebook))
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert [output.output_type for output in outputs].count("display_data") == 1
    assert not any(output.get("name") == "stderr" for output in outputs)
    assert FILE.stat().st_size < LARGEST


@pytest.mark.slow
def test_it_runs(tmp_path: Path) -> None:
    notebook = nbformat.read(FILE, as_version=4)
    client = nbclient.NotebookClient(
        notebook,
        timeout=600,
        kernel_name="python3",
        resources={"metadata": {"path": str(tmp_path)}},
    )
    client.execute()
    check(printed(notebook))

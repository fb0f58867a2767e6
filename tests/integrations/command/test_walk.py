import os
import re
import shlex
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from drawn_shapes import draw_folder

from df_heads.integrations.command.main import GROUP
from df_heads.integrations.runs import read_run

PAGE = Path(__file__).parents[3] / "docs" / "own-images.md"
LEAST_GAIN = 0.15


def commands() -> list[list[str]]:
    """Those of the page, without the name of the script."""
    block = re.search(
        r"<!-- test: these commands are executed -->\n```bash\n(.*?)```",
        PAGE.read_text(encoding="utf-8"),
        re.S,
    )
    assert block is not None
    lines = [shlex.split(line) for line in block[1].splitlines()]
    assert all(words[0] == "df-heads" for words in lines)
    return [words[1:] for words in lines]


def test_the_page_has_five_commands_that_are_there() -> None:
    names = [words[0] for words in commands()]
    assert len(names) == 5
    assert names[0] == "train"
    installed = {point.name for point in entry_points(group=GROUP)}
    if not installed:
        pytest.skip("df-heads was installed before it had commands: pip install -e . again")
    assert set(names) <= installed


@pytest.mark.slow
def test_the_commands_of_the_page_lead_from_pictures_to_a_better_backbone(tmp_path: Path) -> None:
    draw_folder(tmp_path / "shapes", 200)
    for words in commands():
        done = subprocess.run(
            [sys.executable, "-m", "df_heads.integrations.command.main", *words],
            cwd=tmp_path,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        assert done.returncode == 0, (words, done.stderr)
        assert "warn" not in done.stderr.lower(), (words, done.stderr)
        assert "Traceback" not in done.stderr
    features = read_run(tmp_path / "runs" / "shapes").config.features
    assert features is not None
    assert features.trained - features.untrained >= LEAST_GAIN

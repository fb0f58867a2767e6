import re
from pathlib import Path

import pytest
import torch

from df_heads.integrations.lightly import unregister

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
SNIPPETS = re.findall(r"<!-- test: this snippet is executed -->\n```python\n(.*?)```", README, re.S)


def test_there_are_snippets() -> None:
    assert len(SNIPPETS) == 8


@pytest.mark.parametrize("snippet", SNIPPETS)
def test_the_snippets_run(snippet: str) -> None:
    torch.manual_seed(0)
    names: dict[str, object] = {}
    try:
        exec(snippet, names)
    finally:
        if "register" in names:
            unregister()
    if "loss" in names:
        assert names["loss"].isfinite()  # type: ignore[attr-defined]

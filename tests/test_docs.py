import re
from pathlib import Path

import pytest
import torch

from df_heads.integrations.lightly import unregister

ROOT = Path(__file__).parent.parent
# And how many snippets each has.
PAGES = {
    "README.md": 1,
    "docs/augment.md": 3,
    "docs/deep-fusion.md": 2,
    "docs/distributed.md": 1,
    "docs/evaluations.md": 1,
    "docs/lightly.md": 3,
    "docs/lightning.md": 3,
    "docs/methods.md": 1,
    "docs/timm.md": 3,
}
EXECUTED = re.compile(r"<!-- test: this snippet is executed -->\n```python\n(.*?)```", re.S)
SNIPPETS = {
    f"{page}-{number}": snippet
    for page in PAGES
    for number, snippet in enumerate(EXECUTED.findall((ROOT / page).read_text(encoding="utf-8")))
}


def test_there_are_snippets() -> None:
    assert len(SNIPPETS) == sum(PAGES.values())


@pytest.mark.parametrize("snippet", SNIPPETS.values(), ids=SNIPPETS)
def test_the_snippets_run(snippet: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    names: dict[str, object] = {}
    try:
        exec(snippet, names)
    finally:
        if "register" in names:
            unregister()
    if "loss" in names:
        assert names["loss"].isfinite()  # type: ignore[attr-defined]

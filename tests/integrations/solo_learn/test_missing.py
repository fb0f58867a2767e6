import sys
from importlib import import_module

import pytest


def test_without_solo_learn_it_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(sys.modules):
        if name.startswith(("solo.", "df_heads.integrations.solo_learn")):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "solo", None)
    with pytest.raises(ImportError, match=r"needs solo-learn 1\.0\.6.* --no-build-isolation git"):
        import_module("df_heads.integrations.solo_learn")

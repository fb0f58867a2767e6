import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("hydra", reason="Hydra is not installed")
from hydra._internal.utils import create_config_search_path
from hydra.core.plugins import Plugins
from hydra.plugins.search_path_plugin import SearchPathPlugin

APP = """
import sys
import hydra

@hydra.main(version_base="1.2", config_path=".", config_name="app")
def main(cfg):
    print(cfg.value, "df_heads" in sys.modules, "torch" in sys.modules)

main()
"""


def test_hydra_finds_the_plugin() -> None:
    names = [plugin.__name__ for plugin in Plugins.instance().discover(SearchPathPlugin)]
    assert names.count("DFHeadsSoloLearnPlugin") == 1


def test_apps_without_solo_learn_are_not_disturbed(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP)
    (tmp_path / "app.yaml").write_text("value: 7\nhydra: {output_subdir: null, run: {dir: .}}\n")
    done = subprocess.run(
        [sys.executable, "app.py"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=tmp_path,
    )
    assert (done.stdout, done.stderr) == ("7 False False\n", "")


def test_their_search_path_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "solo.methods", raising=False)
    providers = [element.provider for element in create_config_search_path(None).get_path()]
    assert "df-heads" not in providers


def test_an_unsupported_solo_learn_is_a_warning_not_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in list(sys.modules):
        if name.startswith("df_heads.integrations.solo_learn"):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "solo", None)
    monkeypatch.setitem(sys.modules, "solo.methods", None)
    with pytest.warns(UserWarning, match="_tph methods are not registered: .*needs solo-learn"):
        path = create_config_search_path(None).get_path()
    assert "df-heads" not in [element.provider for element in path]

from importlib import metadata
from pathlib import Path

import pytest

from df_heads.benchmarks import run_all
from df_heads.benchmarks.harness.base import registry
from df_heads.benchmarks.harness.base.errors import InputError
from df_heads.benchmarks.harness.plan.benchmark import benchmarks
from df_heads.benchmarks.harness.plan.flags import run_script
from df_heads.benchmarks.harness.report.sections import parse_command

MODULE = """
from dataclasses import replace

from df_heads.benchmarks import run_table3

BENCHMARK = replace(run_table3.BENCHMARK, name="mine", title="Table of mine")
NUMBER = 3
"""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if a package with a benchmark were installed."""
    (tmp_path / "table_of_mine.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    _entry_point(monkeypatch, "mine", "table_of_mine:BENCHMARK")


def _entry_point(monkeypatch: pytest.MonkeyPatch, name: str, path: str) -> None:
    points = [metadata.EntryPoint(name, path, "df_heads.benchmarks")]
    monkeypatch.setattr(registry, "entry_points", lambda group: points)


@pytest.mark.usefixtures("installed")
def test_a_packages_benchmark_is_run_and_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert list(benchmarks())[-1] == "mine"
    assert parse_command("python run_mine.py --smoke", benchmarks())[0].title == "Table of mine"
    monkeypatch.setattr(run_all, "tables", run_all.tables.__wrapped__)
    flags = ["--tables", "mine", "--smoke", "--status", "--out-dir", str(tmp_path / "out")]
    assert run_script(run_all.main, flags) == 0
    assert "Table of mine" in capsys.readouterr().out


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    ("name", "path", "message"),
    [
        ("mine", "table_of_mine:NUMBER", "'mine' is no benchmark: it must be a .*, not 3"),
        ("yours", "table_of_mine:BENCHMARK", "its entry point must have its name, 'mine'"),
        ("table2", "table_of_mine:BENCHMARK", "has the name of one of df-heads' own"),
    ],
)
def test_what_is_none_gets_one_sentence(
    name: str, path: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _entry_point(monkeypatch, name, path)
    with pytest.raises(InputError, match=message):
        benchmarks()

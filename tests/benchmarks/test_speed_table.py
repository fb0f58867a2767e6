import json
from pathlib import Path
from typing import Any

import pytest

from df_heads.benchmarks import run_speed
from df_heads.benchmarks.harness.errors import InputError
from df_heads.benchmarks.harness.results import ResultFolder

FLAGS = ["--head", "--device", "cpu", "--tokens", "64", "--memory-tokens", "128", "64"]
CONTENT: dict[str, Any] = {
    "tokens": 64,
    "repeats": 15,
    "parameters": {"df-heads": 1000},
    "milliseconds": {"df-heads": {"median": 1.25, "low": 1.0, "high": 2.0}},
    "ratio": 0.9876,
    "memory_mib": {"64": 1.0, "128": 2.0},
    "memory_slope": 1.0,
}


def table(folder: Path, content: dict[str, Any], *flags: str) -> str:
    (folder / "speed-head-cpu.json").write_text(json.dumps(content))
    return run_speed.table(run_speed.parse([*FLAGS, *flags]), ResultFolder(folder))


def test_the_text_is_made_from_the_file(tmp_path: Path) -> None:
    assert run_speed.table(run_speed.parse(FLAGS), ResultFolder(tmp_path)) == "not run"
    text = table(tmp_path, CONTENT)
    assert "| df-heads |      1,000 | 1.2 | 1.0 to 2.0 |" in text
    assert "median 0.988" in text
    assert "|     128 |   2 |           16.0 |" in text
    without = {key: value for key, value in CONTENT.items() if key != "parameters"}
    assert "| df-heads | 1.2 |" in table(tmp_path, without)


def test_bad_input(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="was made with repeats=15, not 3: give its flags"):
        table(tmp_path, CONTENT, "--repeats", "3")
    with pytest.raises(InputError, match=r"memory_tokens=\[64, 128\], not \[64, 256\]"):
        table(tmp_path, CONTENT, "--memory-tokens", "64", "256")
    with pytest.raises(InputError, match=r"speed-head-cpu\.json is damaged \(KeyError\('ratio'\)"):
        table(tmp_path, {key: value for key, value in CONTENT.items() if key != "ratio"})

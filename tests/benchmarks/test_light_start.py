import resource
import subprocess
import sys
from pathlib import Path

import pytest

import df_heads.benchmarks

HEAVY = {"torch", "lightly", "pytorch_lightning", "timm", "scipy", "matplotlib"}
SCRIPTS = sorted(Path(df_heads.benchmarks.__path__[0]).glob("run_*.py"))
SECONDS = 1.0
NAMES = [script.stem for script in SCRIPTS]


def started(name: str, *arguments: str) -> tuple[int, str, set[str], float]:
    """Exit code, what was printed, packages that were imported, and CPU seconds of a script."""
    script = SCRIPTS[NAMES.index(name)]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-X", "importtime", script, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    errors = done.stderr.splitlines()
    timed = [line for line in errors if line.startswith("import time:")]
    printed = [line for line in errors if not line.startswith("import time:")]
    packages = {line.rpartition("|")[2].strip().partition(".")[0] for line in timed}
    return done.returncode, "\n".join([done.stdout, *printed]), packages, seconds


@pytest.mark.parametrize("name", NAMES)
def test_help_is_light(name: str) -> None:
    seconds = []
    for _ in range(3):  # a busy machine may need more time, never less
        code, printed, packages, used = started(name, "--help")
        assert code == 0
        assert f"usage: {name}.py" in printed
        assert "df_heads" in packages
        assert not packages & HEAVY
        seconds.append(used)
        if used < SECONDS:
            break
    assert min(seconds) < SECONDS


@pytest.mark.parametrize("name", NAMES)
def test_an_unknown_flag_is_told_without_torch(name: str) -> None:
    code, printed, packages, _ = started(name, "--no-such-flag")
    assert code == 2
    assert "unrecognized arguments: --no-such-flag" in printed
    assert not packages & HEAVY


@pytest.mark.parametrize(
    ("name", "arguments", "sentence"),
    [
        ("run_all", "--tables 9", "invalid choice: '9'"),
        ("run_all", "--tables 2 --method nosuch", "'nosuch'"),
        ("run_controls", "--suites nosuch", "'nosuch'"),
        ("run_controls", "--equal-time-dim 0", "--equal-time-dim 0 must be at least 1"),
        ("run_speed", "--parts nosuch", "invalid choice: 'nosuch'"),
        ("run_speed", "--loss-samples 64 65", "must be even and at least 4"),
        ("run_table1", "--dataset nosuch", "'nosuch'"),
        ("run_table2", "--heads nosuch", "'nosuch'"),
        ("run_table2", "--method nosuch", "'nosuch'"),
        ("run_table2", "--datasets nosuch", "'nosuch'"),
        ("run_theory", "--blocks 1", "--blocks must be from 2 to 100"),
    ],
)
def test_an_unknown_name_or_value_is_told_without_torch(
    name: str, arguments: str, sentence: str
) -> None:
    code, printed, packages, _ = started(name, *arguments.split())
    assert code == 2
    assert sentence in printed
    assert not packages & HEAVY


def test_importing_the_package_imports_no_torch() -> None:
    code = (
        "import sys, df_heads\n"
        f"print(sorted({HEAVY} & sys.modules.keys()))\n"
        "from df_heads import TransformerProjectionHead\n"
        "print(TransformerProjectionHead(8, 4, 2).output_dim, 'torch' in sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.split("\n")[:2] == ["[]", "2 True"]

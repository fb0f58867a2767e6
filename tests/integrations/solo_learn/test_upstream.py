"""solo-learn's own tests of its methods, from the clone that SOLO_LEARN_DIR names."""

import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

with warnings.catch_warnings():
    # solo-learn 1.0.6 uses names that timm and torch have moved since.
    warnings.simplefilter("ignore")
    pytest.importorskip("solo.methods", reason="solo-learn is not installed", exc_type=ImportError)
    from df_heads.integrations.solo_learn import METHOD_NAMES

if "SOLO_LEARN_DIR" not in os.environ:
    pytest.skip(
        "SOLO_LEARN_DIR does not name a clone of solo-learn, which holds its tests",
        allow_module_level=True,
    )
CLONE = Path(os.environ["SOLO_LEARN_DIR"]).resolve()

# Pytest plugins. The tests import classes from solo.methods, so those are what is exchanged.
REGISTERED = "from df_heads.integrations.solo_learn import register; register()"
EXCHANGED = """
import solo.methods
from df_heads.integrations.solo_learn import methods as ours

checked = ours.check_head_options
ours.check_head_options = lambda given: checked({{"views": {views!r}, **given}})
for name in ours.METHOD_NAMES:
    method = solo.methods.METHODS[name]
    setattr(solo.methods, method.__name__, ours.with_head(method))
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "plugin",
    [
        pytest.param(REGISTERED, id="unmodified"),
        pytest.param(EXCHANGED.format(views="separate"), id="separate"),
        pytest.param(EXCHANGED.format(views="joint"), id="joint"),
    ],
)
def test_solo_learns_own_tests_pass(plugin: str, tmp_path: Path) -> None:
    (tmp_path / "df_heads_plugin.py").write_text(plugin)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-W", "ignore", "-p", "no:cacheprovider"),
            *("-p", "df_heads_plugin"),
            *(f"tests/methods/test_{name}.py" for name in METHOD_NAMES),
        ],
        capture_output=True,
        text=True,
        timeout=3600,
        check=False,
        cwd=CLONE,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
    )
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
    assert f"{len(METHOD_NAMES)} passed" in done.stdout

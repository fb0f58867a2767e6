"""The code of a step needs no GPU to be found out: see cases.py."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from torch.utils import backend_registration

CASES = Path(__file__).with_name("cases.py")
HELPERS = CASES.parents[1] / "helpers"

#: lightly's losses that select with boolean masks, for which a GPU waits once a step.
WAIT = ("vicreg, ",)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not hasattr(backend_registration, "_setup_privateuseone_for_python_backend"),
        reason="this torch has no devices with a Python back end",
    ),
]


def outcomes(*flags: str) -> dict[str, str]:
    """Run cases.py in a process of its own, as it changes torch: name -> "ok" or what failed."""
    done = subprocess.run(
        [sys.executable, str(CASES), *flags],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(HELPERS)},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return dict(
        line.rsplit(": ", 1) if line.endswith(": ok") else line.split(": ", 1)
        for line in done.stdout.splitlines()
    )


def test_the_parts_of_a_step_run_on_a_device_without_a_word_to_the_host() -> None:
    found = outcomes()
    assert {"simclr, separate", "transformer-stable-small, bf16", "extract_features"} < set(found)
    failed = {name: what for name, what in found.items() if what != "ok"}
    assert all("aten.nonzero" in failed.pop(name) for name in found if name.startswith(WAIT))
    assert failed == {}


def test_mistakes_are_found() -> None:
    found = outcomes("--mistakes")
    assert len(found) == 5
    assert all(what.startswith("FAILED ") for what in found.values()), found

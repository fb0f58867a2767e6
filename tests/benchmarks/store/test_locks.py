import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from df_heads.benchmarks.harness.store.locks import lock_owner, try_lock, wait_for_lock

HOLDER = """
import sys, time
from pathlib import Path
from df_heads.benchmarks.harness.store.locks import try_lock
with try_lock(Path(sys.argv[1])) as held:
    print(held, flush=True)
    time.sleep(60)
"""


def holder(file: Path) -> subprocess.Popen[str]:
    """Another process that holds the lock."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(file)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "True\n"
    return process


def test_a_lock_is_held_once(tmp_path: Path) -> None:
    file = tmp_path / "new" / "cell.lock"
    assert lock_owner(file) is None
    with try_lock(file) as held:
        assert held
        with try_lock(file) as again:
            assert not again
        owner = lock_owner(file)
        assert owner is not None
        assert owner.pid == os.getpid()
        assert time.time() - owner.since < 60
    assert lock_owner(file) is None
    with try_lock(file) as held:
        assert held


def test_an_error_inside_frees_the_lock(tmp_path: Path) -> None:
    file = tmp_path / "cell.lock"
    with pytest.raises(RuntimeError, match="inside"), try_lock(file):
        raise RuntimeError("inside")
    assert lock_owner(file) is None
    with wait_for_lock(file), try_lock(file) as held:
        assert not held


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL here")
def test_a_killed_process_frees_its_lock_at_once(tmp_path: Path) -> None:
    file = tmp_path / "cell.lock"
    process = holder(file)
    try:
        with try_lock(file) as held:
            assert not held
        owner = lock_owner(file)
        assert owner is not None
        assert owner.pid == process.pid
    finally:
        process.kill()
        process.communicate()
    with try_lock(file) as held:
        assert held

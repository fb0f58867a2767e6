import math
import re
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "examples" / "ddp_simclr.py"


@pytest.mark.slow
def test_two_processes_share_the_digits(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, SCRIPT, "--devices", "2", "--epochs", "1", "--batch-size", "128"],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    # 1797 images: 899 on each process, 7 batches of 128.
    (loss,) = re.findall(r"2 processes, 7 steps, loss ([\d.]+)", done.stdout)
    # A token is told from the other 2 * 256 - 2 by then: the collapsed head stays at log(511).
    assert float(loss) < math.log(511)

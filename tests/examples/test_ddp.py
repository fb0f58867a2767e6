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
        [sys.executable, SCRIPT, "--devices", "2"],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    # 1797 images: 899 on each process, 14 batches of 64 in each of 2 epochs.
    (loss,) = re.findall(r"2 processes, 28 steps, loss ([\d.]+)", done.stdout)
    # A collapsed head stays at the logarithm of the 2 * 128 - 1 others of all processes.
    assert float(loss) < math.log(255) - 0.2

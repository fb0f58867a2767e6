import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

if TYPE_CHECKING:
    from df_heads.benchmarks.harness.data.images import ImageData

# Threads that wait for each other on a shared machine cost small tests more than they give.
torch.set_num_threads(1)
# Processes that tests start.
os.environ["OMP_NUM_THREADS"] = "1"


@pytest.fixture(autouse=True)
def _random_state_is_restored() -> Iterator[None]:
    state = torch.random.get_rng_state()
    yield
    torch.random.set_rng_state(state)


@pytest.fixture(scope="session")
def tiny_data() -> "ImageData":
    """Two classes of noisy 16 x 16 images that a glance tells apart."""
    from df_heads.benchmarks.harness.data.images import ImageData

    generator = np.random.default_rng(0)

    def split(count: int) -> tuple[np.ndarray, np.ndarray]:
        labels = np.arange(count, dtype=np.int64) % 2
        images = generator.integers(0, 100, (count, 3, 16, 16))
        images[labels == 1, :, :8] += 100
        return images.astype(np.uint8), labels

    train, test = split(48), split(20)
    return ImageData("digits", *train, *test, classes=("0", "1"), fingerprint="0" * 16)


@pytest.fixture(scope="module")
def failures_by_rank(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> list[dict[str, str]]:
    """The tracebacks of the test file's check_* functions, run on two processes at once."""
    folder = tmp_path_factory.mktemp("processes")
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    script = Path(__file__).parent / "processes" / "on_two_processes.py"
    done = subprocess.run(
        [*launcher, script, request.path, folder],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in range(2)]

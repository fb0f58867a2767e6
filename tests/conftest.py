import os
from collections.abc import Iterator

import pytest
import torch

# Threads that wait for each other on a shared machine cost small tests more than they give.
torch.set_num_threads(1)
# Processes that tests start.
os.environ["OMP_NUM_THREADS"] = "1"


@pytest.fixture(autouse=True)
def _random_state_is_restored() -> Iterator[None]:
    state = torch.random.get_rng_state()
    yield
    torch.random.set_rng_state(state)

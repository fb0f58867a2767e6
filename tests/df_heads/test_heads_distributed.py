import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import torch
from torch import distributed as dist
from torch.nn.parallel import DistributedDataParallel
from df_heads import FeedForwardProjectionHead, TransformerProjectionHead

dist.init_process_group("gloo")
rank = dist.get_rank()
for attention in ("softmax", "tied", "self", "uniform", "none"):
    torch.manual_seed(0)
    if attention == "none":
        head = FeedForwardProjectionHead(12, 16, 8, batch_norm=False)
    else:
        head = TransformerProjectionHead(
            12, 16, 8, num_layers=2, num_heads=2, head_dim=4, attention=attention
        )
    head.double()
    x = torch.randn(2, 6, 12, dtype=torch.float64)
    parameters = list(head.parameters())
    expected = torch.autograd.grad(
        sum(head(part).pow(3).sum() for part in x) / 2, parameters, allow_unused=True
    )
    ddp = DistributedDataParallel(head)
    for step in range(2):  # the second step is where DDP complains of unused parameters
        ddp.zero_grad()
        ddp(x[rank]).pow(3).sum().backward()
    for parameter, gradient in zip(parameters, expected):
        torch.testing.assert_close(parameter.grad, gradient, atol=1e-12, rtol=0)
    print(f"rank {rank} {attention} ok", flush=True)
dist.destroy_process_group()
"""


@pytest.mark.slow
def test_data_parallel_gradients_are_the_mean_over_processes(tmp_path: Path) -> None:
    script = tmp_path / "two_ranks.py"
    script.write_text(SCRIPT)
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "torch.distributed.run",
            "--standalone",
            "--nproc-per-node=2",
            script,
        ],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(" ok") == 10

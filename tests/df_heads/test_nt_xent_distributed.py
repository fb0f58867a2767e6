"""NT-Xent on two processes. The fixture failures_by_rank runs the checks below in both."""

import pytest
import torch
from lightly.loss import NTXentLoss
from torch import Tensor, nn
from torch import distributed as dist

from df_heads.nt_xent import ChunkedNTXentLoss


def views(dtype: torch.dtype = torch.float64) -> list[Tensor]:
    """Of 12 images, for both processes."""
    generator = torch.Generator().manual_seed(1)
    return list(torch.randn(2, 12, 8, generator=generator, dtype=torch.float64).to(dtype))


def own(whole: Tensor) -> Tensor:
    return whole.chunk(2)[dist.get_rank()]


def value_and_gradients(loss: nn.Module, batch: list[Tensor]) -> list[Tensor]:
    leaves = [view.clone().requires_grad_() for view in batch]
    # Each process may weigh its loss by itself.
    value = (1 + dist.get_rank()) * loss(*leaves)
    return [value.detach(), *torch.autograd.grad(value, leaves)]


def check_it_equals_lightly() -> None:
    for dtype, tolerance in ((torch.float64, 1e-12), (torch.float32, 1e-6)):
        batch = [own(view) for view in views(dtype)]
        expected = value_and_gradients(NTXentLoss(0.2, gather_distributed=True), batch)
        for chunk_size in (1, 5, 1000):
            loss = ChunkedNTXentLoss(0.2, chunk_size=chunk_size, gather_distributed=True)
            got = value_and_gradients(loss, batch)
            for a, b in zip(got, expected, strict=True):
                torch.testing.assert_close(a, b, atol=tolerance, rtol=0)


def check_it_equals_one_process() -> None:
    leaves = [view.requires_grad_() for view in views()]
    alone = ChunkedNTXentLoss(0.2)(*leaves)
    expected = torch.autograd.grad(alone, leaves)
    parts = [own(view.detach()).requires_grad_() for view in leaves]
    loss = ChunkedNTXentLoss(0.2, chunk_size=5, gather_distributed=True)(*parts)
    gradients = torch.autograd.grad(loss, parts)
    dist.all_reduce(loss.detach_())
    torch.testing.assert_close(loss / 2, alone.detach(), atol=1e-12, rtol=0)
    for gradient, exact in zip(gradients, expected, strict=True):
        torch.testing.assert_close(gradient / 2, own(exact), atol=1e-12, rtol=0)


def check_without_gathering_processes_are_independent() -> None:
    batch = [own(view) for view in views()]
    expected = value_and_gradients(NTXentLoss(0.2), batch)
    for a, b in zip(value_and_gradients(ChunkedNTXentLoss(0.2), batch), expected, strict=True):
        torch.testing.assert_close(a, b, atol=1e-12, rtol=0)


CHECKS = [value for name, value in list(globals().items()) if name.startswith("check_")]


@pytest.mark.slow
@pytest.mark.parametrize("check", [check.__name__ for check in CHECKS])
def test_on_two_processes(check: str, failures_by_rank: list[dict[str, str]]) -> None:
    for rank, failures in enumerate(failures_by_rank):
        assert check not in failures, f"rank {rank}: {failures[check]}"

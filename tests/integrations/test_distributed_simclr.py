"""SimCLR on two processes. The fixture failures_by_rank runs the checks below in both."""

from collections.abc import Sequence
from typing import Any

import pytest
import timm
import torch
from torch import Tensor, nn
from torch import distributed as dist
from torch.nn.parallel import DistributedDataParallel

from df_heads import TransformerProjectionHead
from df_heads.integrations.lightly import replace_projection_head
from df_heads.integrations.method.base import Views
from df_heads.integrations.simclr import SimCLR


def tiny_model(views: Views, *, gather: bool) -> SimCLR:
    torch.manual_seed(0)
    # No batch statistics, which processes would not share.
    vit = timm.create_model(
        "vit_tiny_patch16_224",
        img_size=16,
        patch_size=8,
        embed_dim=16,
        depth=2,
        num_heads=2,
        num_classes=0,
    )
    head = TransformerProjectionHead(
        16, 16, 8, num_layers=2, num_heads=2, head_dim=8, gather_distributed=gather
    )
    return SimCLR(vit, head, views, gather_distributed=gather, image_size=16)


def two_views(dtype: torch.dtype, seed: int = 1) -> list[Tensor]:
    """Of 6 images on each of two processes."""
    generator = torch.Generator().manual_seed(seed)
    return list(torch.randn(2, 12, 3, 16, 16, generator=generator, dtype=dtype))


class Step(nn.Module):
    """DistributedDataParallel wraps a forward; SimCLR's gives features."""

    def __init__(self, model: SimCLR) -> None:
        super().__init__()
        self.model = model

    def forward(self, views: Sequence[Tensor]) -> Tensor:
        features = self.model(torch.cat(list(views)))
        if features.dtype == torch.float32:
            return self.model.loss(views)
        # The same in float64, where SimCLR.loss computes NT-Xent in float32.
        z0, z1 = self.model.project(features.chunk(2))
        loss: Tensor = self.model.criterion(z0, z1)
        return loss


def assert_steps_equal_one_process(views: Views, dtype: torch.dtype, tolerance: float) -> None:
    whole = two_views(dtype)
    model = tiny_model(views, gather=True).to(dtype)
    ddp = DistributedDataParallel(Step(model))
    loss = ddp([view.chunk(2)[dist.get_rank()] for view in whole])
    loss.backward()
    dist.all_reduce(loss.detach_())

    reference = tiny_model(views, gather=False).to(dtype)
    expected = Step(reference)(whole)
    expected.backward()

    torch.testing.assert_close(loss / 2, expected.detach(), atol=tolerance, rtol=0)
    gradients = [p.grad for p in reference.parameters()]
    largest = max(g.abs().max().item() for g in gradients if g is not None)
    assert largest > 1e-2
    # Rounding is that of the largest numbers added.
    allowed = tolerance * max(1.0, largest)
    for parameter, gradient in zip(model.parameters(), gradients, strict=True):
        torch.testing.assert_close(parameter.grad, gradient, atol=allowed, rtol=0)


def check_separate_views_equal_one_process() -> None:
    assert_steps_equal_one_process("separate", torch.float32, 1e-5)
    assert_steps_equal_one_process("separate", torch.float64, 1e-12)


def check_joint_views_equal_one_process() -> None:
    assert_steps_equal_one_process("joint", torch.float32, 1e-5)
    assert_steps_equal_one_process("joint", torch.float64, 1e-12)


def check_without_gathering_processes_are_independent() -> None:
    changed = two_views(torch.float32, seed=1 + dist.get_rank())
    for gather in (False, True):
        model = tiny_model("separate", gather=gather)
        before, after = model.loss(two_views(torch.float32)), model.loss(changed)
        if dist.get_rank() == 0:
            assert torch.equal(before, after) != gather


def check_a_head_put_into_a_lightly_model_gathers() -> None:
    from lightly.models.modules import SimCLRProjectionHead

    torch.manual_seed(0)
    model: Any = nn.ModuleDict({"projection_head": SimCLRProjectionHead(16, 16, 8)})
    replace_projection_head(model, num_layers=1, gather_distributed=True)
    head = model["projection_head"]
    x = torch.randn(12, 16, generator=torch.Generator().manual_seed(1))
    z = head(x.chunk(2)[dist.get_rank()])
    head.gather_distributed = False
    torch.testing.assert_close(z, head(x).chunk(2)[dist.get_rank()])


CHECKS = [value for name, value in list(globals().items()) if name.startswith("check_")]


@pytest.mark.slow
@pytest.mark.parametrize("check", [check.__name__ for check in CHECKS])
def test_on_two_processes(check: str, failures_by_rank: list[dict[str, str]]) -> None:
    for rank, failures in enumerate(failures_by_rank):
        assert check not in failures, f"rank {rank}: {failures[check]}"

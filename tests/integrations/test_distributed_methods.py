"""Methods that gather, on two processes: as one process with the batches of both.

The fixture failures_by_rank runs the checks below in both.
"""

from collections.abc import Sequence
from typing import Any, get_args

import pytest
import timm
import torch
from torch import Tensor, nn
from torch import distributed as dist
from torch.nn.parallel import DistributedDataParallel

from df_heads import TransformerProjectionHead
from df_heads.integrations.choices import MethodName
from df_heads.integrations.method.base import Method, Views
from df_heads.integrations.method.classes import method_class

TOLERANCE = 2e-5
OF_METHOD: dict[str, dict[str, Any]] = {"nnclr": {"queue_size": 40}, "dino": {"num_prototypes": 12}}


def tiny_model(name: MethodName, views: Views, *, gather: bool, **options: Any) -> Any:
    """Without batch statistics other than the head's, which processes would not share."""
    torch.manual_seed(0)
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
    options |= OF_METHOD.get(name, {})
    model: Any = method_class(name)(vit, head, views, image_size=16, **options)
    if hasattr(model, "prediction_head"):
        model.prediction_head = nn.Linear(8, 8)
    return model


def batch_of_both() -> tuple[list[Tensor], Tensor]:
    """Two views of 6 images on each of two processes, and their labels."""
    generator = torch.Generator().manual_seed(1)
    views = list(torch.randn(2, 12, 3, 16, 16, generator=generator))
    return views, torch.arange(12) % 3


class Step(nn.Module):
    """DistributedDataParallel wraps a forward; a method's gives features."""

    def __init__(self, model: Method) -> None:
        super().__init__()
        self.model = model

    def forward(self, views: Sequence[Tensor], labels: Tensor) -> Tensor:
        return self.model.loss_of_batch((views, labels), views)


def assert_step_equals_one_process(name: MethodName, *, gathers: bool = True) -> None:
    """Loss and gradients, with the head and, where it has the option, the loss gathering."""
    options = {"gather_distributed": True} if gathers else {}
    whole, labels = batch_of_both()
    rank = dist.get_rank()
    for views in get_args(Views):
        model = tiny_model(name, views, gather=True, **options)
        ddp = DistributedDataParallel(Step(model))
        loss = ddp([view.chunk(2)[rank] for view in whole], labels.chunk(2)[rank])
        loss.backward()
        dist.all_reduce(loss.detach_())

        reference = tiny_model(name, views, gather=False)
        expected = Step(reference)(whole, labels)
        expected.backward()

        torch.testing.assert_close(loss / 2, expected.detach(), atol=0, rtol=TOLERANCE)
        gradients = [p.grad for p in reference.parameters() if p.requires_grad]
        ours = [p.grad for p in model.parameters() if p.requires_grad]
        largest = max(g.abs().max().item() for g in gradients)
        assert largest > 1e-2
        # Rounding is that of the largest numbers added.
        allowed = TOLERANCE * max(1.0, largest)
        for mine, theirs in zip(ours, gradients, strict=True):
            torch.testing.assert_close(mine, theirs, atol=allowed, rtol=0)


def assert_processes_are_independent_without_gathering(name: MethodName) -> None:
    whole, labels = batch_of_both()
    other = [view + dist.get_rank() for view in whole]  # of the second process only
    for gather in (False, True):
        model = tiny_model(name, "separate", gather=gather, gather_distributed=gather)
        before, after = (model.loss_of_batch((v, labels), v) for v in (whole, other))
        if dist.get_rank() == 0:
            assert torch.equal(before, after) != gather


def check_vicreg_equals_one_process() -> None:
    assert_step_equals_one_process("vicreg")


def check_vicreg_without_gathering() -> None:
    assert_processes_are_independent_without_gathering("vicreg")


def check_barlowtwins_equals_one_process() -> None:
    assert_step_equals_one_process("barlowtwins")


def check_barlowtwins_without_gathering() -> None:
    assert_processes_are_independent_without_gathering("barlowtwins")


def check_simsiam_equals_one_process() -> None:
    assert_step_equals_one_process("simsiam", gathers=False)


def check_nnclr_equals_one_process() -> None:
    assert_step_equals_one_process("nnclr")


def check_nnclr_without_gathering() -> None:
    assert_processes_are_independent_without_gathering("nnclr")


def check_supcon_equals_one_process() -> None:
    assert_step_equals_one_process("supcon")


def check_supcon_without_gathering() -> None:
    assert_processes_are_independent_without_gathering("supcon")


def check_dino_equals_one_process() -> None:
    assert_step_equals_one_process("dino", gathers=False)


def check_support_sets_and_centres_are_the_same_everywhere() -> None:
    whole, _ = batch_of_both()
    views = [view.chunk(2)[dist.get_rank()] for view in whole]
    nnclr, dino = (tiny_model(name, "separate", gather=True) for name in ("nnclr", "dino"))
    nnclr.loss(views)
    nnclr.enqueue_projections()
    assert nnclr.queue.pointer == 12
    dino.loss(views)
    for kept in (nnclr.queue.keys, dino.criterion.center):
        parts = [torch.empty_like(kept) for _ in range(2)]
        dist.all_gather(parts, kept)
        assert torch.equal(*parts)
        assert kept.abs().max() > 0


CHECKS = [value for name, value in list(globals().items()) if name.startswith("check_")]


@pytest.mark.slow
@pytest.mark.parametrize("check", [check.__name__ for check in CHECKS])
def test_on_two_processes(check: str, failures_by_rank: list[dict[str, str]]) -> None:
    for rank, failures in enumerate(failures_by_rank):
        assert check not in failures, f"rank {rank}: {failures[check]}"

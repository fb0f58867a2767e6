"""Heads on two processes. The fixture failures_by_rank runs the checks below in both."""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch import distributed as dist
from torch.nn.parallel import DistributedDataParallel

from df_heads import FeedForwardProjectionHead, TransformerProjectionHead
from df_heads.fusion import record_attention

MODES = ("softmax", "tied", "self", "uniform")
# Of both processes.
LENGTHS = (5, 8)


def small_head(dtype: torch.dtype = torch.float64, **options: Any) -> TransformerProjectionHead:
    torch.manual_seed(0)
    options = {"form": "paper", "num_layers": 2, "num_heads": 2, "head_dim": 4, **options}
    return TransformerProjectionHead(12, 16, 8, **options).to(dtype)


def gathering_head(**options: Any) -> TransformerProjectionHead:
    return small_head(gather_distributed=True, **options)


def features(*shape: int, dtype: torch.dtype = torch.float64, seed: int = 1) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def own(whole: Tensor, lengths: tuple[int, ...] = LENGTHS, dim: int = -2) -> Tensor:
    """This process's part of what all of them hold."""
    return whole.split(list(lengths), dim)[dist.get_rank()]


def assert_equals_one_process(
    x: Tensor,
    lengths: tuple[int, ...] = LENGTHS,
    mask: Tensor | None = None,
    tolerance: float = 1e-12,
    **options: Any,
) -> None:
    """Outputs are those of one process, and so are gradients, of the processes' summed losses."""
    expected = small_head(x.dtype, **options)
    tokens = sum(lengths)
    x = x.requires_grad_()
    whole_loss = torch.sin(expected(x, mask)).sum() / tokens
    (whole_x_grad, *whole_grads) = torch.autograd.grad(whole_loss, [x, *expected.parameters()])

    head = gathering_head(dtype=x.dtype, **options)
    # It averages the gradients over the processes: those of the mean of their losses.
    ddp = DistributedDataParallel(head)
    part = own(x.detach(), lengths).requires_grad_()
    rows = None if mask is None else own(mask, lengths)
    for _ in range(2):  # the second step is where DDP complains of unused parameters
        ddp.zero_grad()
        part.grad = None
        z = ddp(part, rows)
        (torch.sin(z).sum() / tokens).backward()

    def close(a: Tensor | None, b: Tensor) -> None:
        torch.testing.assert_close(a, b, atol=tolerance, rtol=0)

    close(z, own(expected(x, mask), lengths))
    close(part.grad, own(whole_x_grad, lengths))
    for parameter, gradient in zip(head.parameters(), whole_grads, strict=True):
        close(parameter.grad, gradient / len(lengths))


def check_without_gathering_gradients_are_the_mean_over_processes() -> None:
    for attention in (*MODES, "feed-forward"):
        torch.manual_seed(0)
        head: nn.Module
        if attention == "feed-forward":
            head = FeedForwardProjectionHead(12, 16, 8, batch_norm=False).double()
        else:
            head = small_head(attention=attention)
        x = features(2, 6, 12)
        expected = torch.autograd.grad(
            sum(head(part).pow(3).sum() for part in x) / 2, list(head.parameters())
        )
        ddp = DistributedDataParallel(head)
        for _ in range(2):
            ddp.zero_grad()
            ddp(x[dist.get_rank()]).pow(3).sum().backward()
        for parameter, gradient in zip(head.parameters(), expected, strict=True):
            torch.testing.assert_close(parameter.grad, gradient, atol=1e-12, rtol=0)


def check_gathering_equals_one_process() -> None:
    for attention in MODES:
        for norm_first in (False, True):
            options: dict[str, Any] = {"attention": attention, "norm_first": norm_first}
            assert_equals_one_process(features(13, 12), **options)
            assert_equals_one_process(features(2, 13, 12), **options)


def check_batch_statistics_are_those_of_all_processes() -> None:
    both: tuple[dict[str, Any], ...] = (
        {"form": "stable"},
        {"form": "paper", "input_norm": "batch"},
    )
    for options in both:
        for attention in MODES:
            assert_equals_one_process(
                features(2, sum(LENGTHS), 12), attention=attention, tolerance=1e-10, **options
            )


def check_running_statistics_are_those_of_all_processes() -> None:
    expected, head = small_head(form="stable"), gathering_head(form="stable")
    x = features(sum(LENGTHS), 12)
    expected(x)
    head(own(x))
    assert set(dict(head.named_buffers())) == {
        f"{norm}.{name}"
        for norm in ("feature_norm", "norm")
        for name in ("running_mean", "running_var", "num_batches_tracked")
    }
    for name, buffer in head.named_buffers():
        torch.testing.assert_close(buffer, expected.get_buffer(name))


def check_one_token_in_all_stops_all() -> None:
    head = gathering_head(form="stable")
    assert head(features(1, 12)).isfinite().all()  # 2 tokens in all
    with pytest.raises(ValueError, match="batch of 1 sample"):
        small_head(form="stable")(features(1, 12))


def check_equal_batches_in_float32() -> None:
    x = features(3, 32, 12, dtype=torch.float32)
    assert_equals_one_process(x, (16, 16), tolerance=1e-5)


def check_sequences_are_cut_from_the_tokens_of_all() -> None:
    for length in (1, 3, 5, 7, 12, 13, 20):
        for attention in ("softmax", "self"):
            options: dict[str, Any] = {"sequence_length": length, "attention": attention}
            assert_equals_one_process(features(2, 13, 12), **options)


def random_mask(*shape: int) -> Tensor:
    mask = torch.rand(*shape, generator=torch.Generator().manual_seed(2)) < 0.6
    mask[..., 3, :] = False  # one that sees nothing, on each process
    mask[..., 9, :] = False
    return mask


def check_masks_have_a_column_for_each_token_of_all() -> None:
    for mask in (random_mask(13, 13), random_mask(2, 13, 13)):
        for attention in MODES:
            assert_equals_one_process(features(2, 13, 12), mask=mask, attention=attention)
        assert_equals_one_process(features(2, 13, 12), mask=mask, sequence_length=6)


def check_evaluation_without_gradients() -> None:
    x = features(13, 12)
    for guard in (torch.no_grad, torch.inference_mode):
        with guard():
            z = gathering_head(dropout=0.5).eval()(own(x))
            torch.testing.assert_close(z, own(small_head().eval()(x)), atol=1e-12, rtol=0)


def check_dropout() -> None:
    head = gathering_head(dropout=0.2)
    # Each process drops its own tokens' values.
    torch.manual_seed(dist.get_rank())
    x = own(features(13, 12))
    z = head(x)
    z.sum().backward()
    assert not torch.allclose(z, head.eval()(x))
    assert all(p.grad.isfinite().all() and p.grad.any() for p in head.parameters())


def check_only_gathering_couples_the_processes() -> None:
    x, changed = features(6, 12), features(6, 12, seed=1 + dist.get_rank())
    for attention in MODES:
        alone = small_head(attention=attention)
        together = gathering_head(attention=attention)
        if dist.get_rank() == 0:
            assert torch.equal(alone(x), alone(changed))
        same = torch.allclose(together(x), together(changed))
        assert same == (attention == "self" and dist.get_rank() == 0)


def check_one_process_may_record() -> None:
    x = features(2, 13, 12)
    for options in ({}, {"sequence_length": 6}, {"attention": "tied"}, {"attention": "uniform"}):
        expected_head, head = small_head(**options), gathering_head(**options)
        with record_attention(expected_head) as expected:
            expected_head(x)
        if dist.get_rank() == 1:
            with record_attention(head) as maps:
                z = head(own(x))
            for layer, weights in maps.items():
                assert weights.shape == (2, 2, 8, 13)
                torch.testing.assert_close(weights, own(expected[layer]), atol=1e-12, rtol=0)
            assert list(maps) == [0, 1]
        else:
            z = head(own(x))
        torch.testing.assert_close(z, own(expected_head(x)), atol=1e-12, rtol=0)


def check_self_is_recorded_over_own_tokens() -> None:
    head, x = gathering_head(attention="self"), own(features(13, 12))
    with record_attention(head) as maps:
        head(x)
    assert torch.equal(maps[0], torch.eye(len(x)).double().expand(1, 2, -1, -1))


def check_recording_counts_the_tokens_of_all() -> None:
    head = gathering_head(num_layers=1)
    with (
        pytest.raises(ValueError, match=r"1 x \d tokens, each to 13 of all processes, would take"),
        record_attention(head, max_gib=1e-9),
    ):
        head(own(features(13, 12)))


def refusal(x: Tensor, *args: Any) -> str:
    try:
        gathering_head()(x, *args)
    except ValueError as error:
        return str(error)
    return "none"


def check_a_bad_batch_on_one_process_stops_all() -> None:
    first = dist.get_rank() == 0
    good = features(5, 12)
    for bad, why in (
        (features(5, 13), "input_dim=12"),
        (features(0, 12), "the batch is empty"),
        (features(5), "the head takes"),
    ):
        message = refusal(good if first else bad)
        assert ("refused the batch of rank 1" if first else why) in message, message
    for mask, why in (
        (torch.ones(5, 10), "torch.float32"),
        (torch.ones(4, 10, dtype=torch.bool), "must be (5, M) or (1, 5, M)"),
        (torch.ones(5, 0, dtype=torch.bool), "(5, 0)"),
        (torch.tensor(True), "has shape ()"),
    ):
        message = refusal(good, None if first else mask)
        assert ("refused the batch of rank 1" if first else why) in message, message


def check_sizes_that_do_not_fit_stop_all_alike() -> None:
    first = dist.get_rank() == 0
    assert "hold [2, 3] sequences" in refusal(features(2 if first else 3, 5, 12))
    mask = None if first else torch.ones(5, 5, dtype=torch.bool)
    message = refusal(features(5, 12), mask)
    assert "rank 1 has 5 columns" in message
    assert "[5, 5] tokens of the processes, in rank order: 10" in message


def check_copies() -> None:
    head = copy.deepcopy(gathering_head())
    x = features(13, 12)
    torch.testing.assert_close(head(own(x)), own(small_head()(x)), atol=1e-12, rtol=0)


CHECKS = [value for name, value in list(globals().items()) if name.startswith("check_")]


@pytest.mark.slow
@pytest.mark.parametrize("check", [check.__name__ for check in CHECKS])
def test_on_two_processes(check: str, failures_by_rank: list[dict[str, str]]) -> None:
    for rank, failures in enumerate(failures_by_rank):
        assert check not in failures, f"rank {rank}: {failures[check]}"

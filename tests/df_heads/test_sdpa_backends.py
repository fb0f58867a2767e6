from typing import Any

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from df_heads import TransformerProjectionHead
from df_heads.sdpa_backends import backends_that_run, fastest_first, kernels_in_order, time_backends

FLASH, MATH = SDPBackend.FLASH_ATTENTION, SDPBackend.MATH


def small_head(**options: Any) -> TransformerProjectionHead:
    return TransformerProjectionHead(16, 16, 16, num_layers=1, num_heads=2, head_dim=8, **options)


def test_the_kernels_of_this_device_are_timed_and_gradients_left_alone() -> None:
    head = small_head()
    head(torch.randn(4, 16)).sum().backward()
    before = [p.grad.clone() for p in head.parameters()]
    times = time_backends(head, torch.randn(2, 40, 16), repeats=2)
    assert set(times) == {FLASH, MATH}  # what torch has for CPUs
    assert list(times.values()) == sorted(times.values())
    assert min(times.values()) > 0
    for p, grad in zip(head.parameters(), before, strict=True):
        assert p.grad is not None
        assert torch.equal(p.grad, grad)


@pytest.mark.parametrize("options", [{}, {"sequence_length": 16}])
def test_the_kernel_that_runs_is_the_one_allowed(options: dict[str, int]) -> None:
    head, x = small_head(**options), torch.randn(40, 16)
    for backend in (FLASH, MATH):
        with sdpa_kernel(backend):
            assert backends_that_run(head, x) == [backend]
    assert backends_that_run(small_head(attention="self"), x) == []


def test_the_fastest_runs_where_the_order_is_applied() -> None:
    head, x = small_head(), torch.randn(40, 16)
    for times in ({FLASH: 1.0, MATH: 2.0}, {FLASH: 2.0, MATH: 1.0}):
        with kernels_in_order(fastest_first(times)):
            assert backends_that_run(head, x) == [min(times, key=lambda k: times[k])]
    assert fastest_first({MATH: 2.0, FLASH: 3.0, SDPBackend.CUDNN_ATTENTION: 1.0}) == [
        SDPBackend.CUDNN_ATTENTION,
        MATH,
    ]


def test_math_is_not_tried_where_its_weights_would_fill_the_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # 2 heads of 40 x 40 weights, or of 40 x 10, of 4 bytes.
    monkeypatch.setattr("df_heads.sdpa_backends.MATH_MAX_GIB", 2 * 40 * 39 * 4 / 2**30)
    x = torch.randn(40, 16)
    assert set(time_backends(small_head(), x, repeats=1)) == {FLASH}
    assert set(time_backends(small_head(sequence_length=10), x, repeats=1)) == {FLASH, MATH}


def test_bad_input_gets_one_clear_sentence() -> None:
    with pytest.raises(ValueError, match="repeats=0 must be at least 1"):
        time_backends(small_head(), torch.randn(4, 16), repeats=0)
    with pytest.raises(ValueError, match="no layer that mixes samples"):
        time_backends(small_head(attention="self"), torch.randn(4, 16))
    with pytest.raises(ValueError, match="input_dim=16"):
        time_backends(small_head(), torch.randn(4, 15))

from collections.abc import Callable
from typing import Any

import pytest
import torch
from lightly.loss import NTXentLoss
from torch import Tensor

from df_heads.nt_xent import ChunkedNTXentLoss


def projections(n: int = 24, dtype: torch.dtype = torch.float64) -> list[Tensor]:
    """Of different lengths, and views that are near each other."""
    generator = torch.Generator().manual_seed(0)
    base = torch.randn(n, 16, generator=generator, dtype=torch.float64)
    views = [base + torch.randn(n, 16, generator=generator).double() for _ in range(2)]
    return [(k * view).to(dtype).requires_grad_() for k, view in zip((0.5, 3), views, strict=True)]


def value_and_gradients(loss: Callable[..., Tensor], views: list[Tensor]) -> list[Tensor]:
    # Times a number, as gradient accumulation and loss scaling do.
    value = 3 * loss(*views)
    return [value, *torch.autograd.grad(value, views)]


@pytest.mark.parametrize("chunk_size", [1, 7, 24, 48, 1000])
@pytest.mark.parametrize("temperature", [0.02, 0.2, 0.5])
def test_value_and_gradients_are_those_of_lightly(temperature: float, chunk_size: int) -> None:
    ours = ChunkedNTXentLoss(temperature, chunk_size=chunk_size)
    for dtype, tolerance in ((torch.float64, 1e-10), (torch.float32, 1e-6)):
        got = value_and_gradients(ours, projections(dtype=dtype))
        exact = value_and_gradients(NTXentLoss(temperature), projections(dtype=dtype))
        if dtype == torch.float32:  # float32's own error is that of lightly's too
            rounded = [view.detach().double().requires_grad_() for view in projections(dtype=dtype)]
            exact = value_and_gradients(NTXentLoss(temperature), rounded)
        for a, b in zip(got, exact, strict=True):
            assert a.dtype == dtype
            error = (a.double() - b.double()).norm() / b.double().norm()
            assert error < tolerance


def test_the_gradient_is_that_of_finite_differences() -> None:
    views = projections(5)
    assert torch.autograd.gradcheck(ChunkedNTXentLoss(0.3, chunk_size=4), views)


def test_one_view_alone_may_need_a_gradient() -> None:
    z0, z1 = projections()
    expected = value_and_gradients(ChunkedNTXentLoss(), [z0, z1])[2]
    loss = 3 * ChunkedNTXentLoss()(z0.detach(), z1)
    torch.testing.assert_close(torch.autograd.grad(loss, z1)[0], expected)


def test_without_gradients_none_are_computed() -> None:
    views = projections()
    expected = ChunkedNTXentLoss()(*views)
    with torch.no_grad():
        assert torch.equal(ChunkedNTXentLoss()(*views), expected)
    with torch.inference_mode():
        assert torch.equal(ChunkedNTXentLoss()(*views), expected)
    assert not ChunkedNTXentLoss()(*(view.detach() for view in views)).requires_grad


def test_half_precision_is_computed_in_float32() -> None:
    halves = projections(dtype=torch.bfloat16)
    rounded = [view.detach().float().requires_grad_() for view in halves]
    value, *gradients = value_and_gradients(ChunkedNTXentLoss(0.2), halves)
    expected, *wide = value_and_gradients(ChunkedNTXentLoss(0.2), rounded)
    assert value.dtype == torch.float32
    assert torch.equal(value, expected)
    for gradient, exact in zip(gradients, wide, strict=True):
        assert torch.equal(gradient, exact.bfloat16())


def test_autocast_does_not_change_it() -> None:
    views = projections(dtype=torch.float32)
    expected = value_and_gradients(ChunkedNTXentLoss(0.2), views)
    with torch.autocast("cpu", torch.bfloat16):
        value = 3 * ChunkedNTXentLoss(0.2)(*views)
    assert torch.equal(value, expected[0])
    for gradient, exact in zip(torch.autograd.grad(value, views), expected[1:], strict=True):
        assert torch.equal(gradient, exact)


def test_one_image_has_no_negative_and_no_loss() -> None:
    views = projections(1)
    value, *gradients = value_and_gradients(ChunkedNTXentLoss(), views)
    assert value.abs() < 1e-12
    assert all(gradient.abs().max() < 1e-12 for gradient in gradients)


@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")  # torch 2.5
def test_it_compiles_into_one_graph() -> None:
    views = projections(dtype=torch.float32)
    loss = ChunkedNTXentLoss(0.2, chunk_size=20)
    expected = value_and_gradients(loss, views)
    got = value_and_gradients(torch.compile(loss, fullgraph=True, backend="aot_eager"), views)
    for a, b in zip(got, expected, strict=True):
        torch.testing.assert_close(a, b)


def test_no_tensor_of_either_pass_is_larger_than_a_chunk() -> None:
    sizes: list[int] = []

    class Recorder(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            out = func(*args, **(kwargs or {}))
            if isinstance(out, Tensor):
                sizes.append(out.numel())
            return out

    n, chunk_size = 256, 16
    with Recorder():
        value_and_gradients(ChunkedNTXentLoss(chunk_size=chunk_size), projections(n))
    assert max(sizes) == chunk_size * 2 * n
    sizes.clear()
    with Recorder():
        value_and_gradients(NTXentLoss(), projections(n))
    assert max(sizes) > n * n


def test_it_is_not_differentiated_twice() -> None:
    views = projections()
    with pytest.raises(RuntimeError, match="has no second derivative"):
        torch.autograd.grad(ChunkedNTXentLoss()(*views), views, create_graph=True)


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        (((4, 8), (5, 8)), r"shapes \(4, 8\) and \(5, 8\); the loss takes two of equal shape"),
        (((4,), (4,)), r"shapes \(4,\) and \(4,\)"),
        (((0, 8), (0, 8)), "at least one image"),
    ],
)
def test_bad_projections_get_one_clear_sentence(shapes: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ChunkedNTXentLoss()(*(torch.randn(shape) for shape in shapes))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": 0.0}, "temperature=0.0 must be above 0"),
        ({"temperature": float("nan")}, "temperature=nan must be above 0 and finite"),
        ({"chunk_size": 0}, "chunk_size=0 must be a whole number of at least 1"),
    ],
)
def test_bad_options_get_one_clear_sentence(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ChunkedNTXentLoss(**options)

"""Which kernel of scaled_dot_product_attention is fastest for a head, and which one ran."""

import inspect
import statistics
import time
import warnings
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode

from df_heads.attention import BatchAttention
from df_heads.heads import TransformerProjectionHead

#: The fused kernels of torch, by what tells their operators apart.
FUSED = {
    "flash": SDPBackend.FLASH_ATTENTION,
    "efficient": SDPBackend.EFFICIENT_ATTENTION,
    "cudnn": SDPBackend.CUDNN_ATTENTION,
}
# MATH writes the weights of each head out, and again for the backward pass.
MATH_MAX_GIB = 1.0


def time_backends(
    head: TransformerProjectionHead, x: Tensor, *, repeats: int = 5
) -> dict[SDPBackend, float]:
    """Median milliseconds of a forward and backward pass with each kernel that can run it.

    No kernel is fastest everywhere: it depends on the device, the dtype and the sequence. Call it
    under the autocast of the training.

    >>> from df_heads import TransformerProjectionHead
    >>> head, features = TransformerProjectionHead.small(input_dim=512), torch.randn(64, 512)
    >>> order = fastest_first(time_backends(head, features))
    >>> with kernels_in_order(order):
    ...     z = head(features)  # or a whole training

    Args:
        head: Whose pass is timed; its gradients stay as they are.
        x: Features as in training, (N, input_dim) or (S, N, input_dim).
        repeats: Passes of each, in turn, after one that is not timed.

    Returns:
        Fastest first. MATH is not tried where its N x N weights take more than 1 GiB a layer.

    Raises:
        ValueError: If repeats is below 1, or no layer of the head uses such a kernel, as with
            attention="self".
    """
    if repeats < 1:
        raise ValueError(f"repeats={repeats} must be at least 1.")
    layers = [layer for layer in head.modules() if isinstance(layer, BatchAttention)]
    if all(layer.attention == "self" for layer in layers):
        raise ValueError(
            "The head has no layer that mixes samples (attention='self' mixes none), so there is "
            "no kernel to choose."
        )
    _one_pass(head, x)  # what fails here is not for want of a kernel
    times: dict[SDPBackend, list[float]] = {}
    for backend in [*FUSED.values(), SDPBackend.MATH]:
        if backend != SDPBackend.MATH or _weights_gib(layers[0], x) <= MATH_MAX_GIB:
            try:
                _timed_pass(head, x, backend)
            except RuntimeError:  # not for this device, dtype or width; or out of memory
                continue
            times[backend] = []
    for _ in range(repeats):
        for backend, values in times.items():
            values.append(_timed_pass(head, x, backend))
    medians = {backend: statistics.median(values) for backend, values in times.items()}
    return dict(sorted(medians.items(), key=lambda item: item[1]))


def fastest_first(times: Mapping[SDPBackend, float]) -> list[SDPBackend]:
    """The order for `kernels_in_order`.

    What is slower than MATH is left out: MATH takes any input, so it is never needed, and on a
    CPU torch ignores the order and would take it.
    """
    order = sorted(times, key=lambda backend: times[backend])
    if SDPBackend.MATH in order:
        order = order[: order.index(SDPBackend.MATH) + 1]
    return order


def kernels_in_order(order: Sequence[SDPBackend]) -> AbstractContextManager[None]:
    """Within it attention takes the first kernel of an order that can run.

    It is torch's `sdpa_kernel(order, set_priority=True)`. torch 2.5 knows no order: there it is the
    first kernel, or MATH where that one cannot run.

    Args:
        order: The preferred one first.
    """
    if "set_priority" in inspect.signature(sdpa_kernel).parameters:
        return sdpa_kernel(list(order), set_priority=True)
    return sdpa_kernel([order[0], SDPBackend.MATH])


def backends_that_run(head: TransformerProjectionHead, x: Tensor) -> list[SDPBackend]:
    """The kernels that a forward pass uses where this is called, seen at work.

    Args:
        head: Not compiled.
        x: As for `time_backends`.

    Returns:
        Without repetition, in order of first use; more than one if a shorter last sequence takes
        another. Empty if the head mixes nothing.
    """
    with _Watch() as watch:
        head(x)
    return list(dict.fromkeys(watch.seen))


class _Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes the operators that attention becomes. torch's profiler would, but logs on stderr."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.seen: list[SDPBackend] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        name = str(func)
        if "scaled_dot_product" in name:
            self.seen += [backend for part, backend in FUSED.items() if part in name]
        elif "softmax" in name:  # MATH is made of ordinary operators; the head has no other softmax
            self.seen.append(SDPBackend.MATH)
        return func(*args, **(kwargs or {}))


def _weights_gib(layer: BatchAttention, x: Tensor) -> float:
    tokens = x.shape[-2]
    length = min(layer.sequence_length or tokens, tokens)
    rows = x.numel() // x.shape[-1]
    return float(rows * length * layer.num_heads * 4 / 2**30)


def _timed_pass(head: TransformerProjectionHead, x: Tensor, backend: SDPBackend) -> float:
    with warnings.catch_warnings(), sdpa_kernel(backend):
        warnings.simplefilter("ignore", UserWarning)  # why a kernel does not fit
        _wait(x.device)
        started = time.perf_counter()
        _one_pass(head, x)
        _wait(x.device)
    return 1e3 * (time.perf_counter() - started)


def _one_pass(head: TransformerProjectionHead, x: Tensor) -> None:
    torch.autograd.grad(head(x).float().square().mean(), list(head.parameters()))


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)

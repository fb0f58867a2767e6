"""A device that is not the CPU and computes nothing, for fake tensors.

It is torch's PrivateUse1 with a Python back end: autograd and autocast work on it, which they do
not on fake CUDA tensors without a driver. In a FakeTensorMode every value that is read back, every
shape that depends on values and every meeting with a CPU tensor is an error.

Importing this changes torch for the whole process: only for processes of their own.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import backend_registration


class _Backend(backend_registration._DummyBackendModule):
    """What torch asks of a device beside tensors: here nothing."""

    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.bfloat16, torch.float16]

    def get_rng_state(self, device: Any = None) -> Tensor:
        return torch.zeros(1, dtype=torch.uint8)

    def set_rng_state(self, state: Tensor, device: Any = None) -> None:
        pass

    def manual_seed(self, seed: int) -> None:
        pass


backend_registration._setup_privateuseone_for_python_backend("fakegpu", backend_module=_Backend())
_autocast = torch.library.Library("_", "IMPL")  # type: ignore[no-untyped-call]
_autocast.fallback(  # type: ignore[no-untyped-call]
    torch.library.fallthrough_kernel, "AutocastPrivateUse1"
)

DEVICE = torch.device("fakegpu:0")


def rand(*shape: int, **options: Any) -> Tensor:
    """Random numbers on the device."""
    return torch.rand(*shape, device=DEVICE, **options)


def on_device(module: nn.Module) -> nn.Module:
    """The module with all of its parameters and buffers on the device.

    Module.to swaps tensors, which fake ones do not allow. What is no parameter or buffer of the
    module stays where it is, as it would on a GPU.
    """

    def moved(tensor: Tensor) -> Tensor:
        return torch.zeros(tensor.shape, dtype=tensor.dtype, device=DEVICE)

    for part in module.modules():
        for name, parameter in part._parameters.items():
            if parameter is not None:
                part._parameters[name] = nn.Parameter(moved(parameter), parameter.requires_grad)
        for name, buffer in part._buffers.items():
            if buffer is not None:
                part._buffers[name] = moved(buffer)
    return module


def _batch_norm(
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    mean: Tensor | None,
    variance: Tensor | None,
    training: bool,
    momentum: float,
    eps: float,
    cudnn_enabled: bool,
) -> Tensor:
    """torch.batch_norm, whose kernel allocates outside of what fake tensors can follow."""
    axes = [axis for axis in range(x.dim()) if axis != 1]
    shape = [1, -1, *[1] * (x.dim() - 2)]
    if training:
        batch_mean, batch_variance = x.float().mean(axes), x.float().var(axes, unbiased=False)
        if mean is not None and variance is not None:
            mean.lerp_(batch_mean.detach(), momentum)
            variance.lerp_(batch_variance.detach(), momentum)
    else:
        assert mean is not None
        assert variance is not None
        batch_mean, batch_variance = mean, variance
    x = (x - batch_mean.view(shape)) * (batch_variance + eps).rsqrt().view(shape).to(x.dtype)
    x = x if weight is None else x * weight.view(shape)
    return x if bias is None else x + bias.view(shape)


_replaced: Callable[..., Tensor] = _batch_norm
torch.batch_norm = _replaced

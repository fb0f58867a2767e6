"""The precision in which a device computes faster."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def has_bfloat16_units(device: "torch.device") -> bool:
    """Whether a device multiplies bfloat16 in units of its own.

    On a CPU those are AMX or AVX512-BF16. Without them torch emulates bfloat16: an AVX2 core does
    0.7 GFLOP/s in it where it does 31 in float32.
    """
    import torch

    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported())


def fast_precision(device: "torch.device") -> str:
    """Where the device has units for it "bf16-mixed", else "32-true"."""
    return "bf16-mixed" if has_bfloat16_units(device) else "32-true"

"""Convolutions on tiny feature maps, computed as one matrix product."""

from itertools import product

import torch
from torch import Tensor, nn

# Beyond this many positions the matrix has more entries that count than the convolution has taps.
MOST_POSITIONS = 9


class SmallMapConv2d(nn.Conv2d):
    """A Conv2d that computes tiny input maps as one matrix product; same parameters, same result.

    On a map of 1 x 1 only the centre tap of a padded 3x3 kernel ever meets a pixel, on 2 x 2 every
    position meets 4 of its 9 taps; the rest is multiplied with padding. A 7x7-stem ResNet gives
    such maps to its last two stages on 32 x 32 images. Here the taps that count are laid out as a
    matrix from all input positions and channels to all output positions and channels, once a step.
    The taps that never count get a gradient of exactly zero, as they do from the convolution.

    Larger maps, which an image of another size gives, go through the ordinary convolution.
    """

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, H, W) to what Conv2d gives, up to rounding."""
        if input.dim() != 4 or input.shape[2] * input.shape[3] > MOST_POSITIONS:
            return super().forward(input)
        n, _, height, width = input.shape
        rows, columns = (_taps(self, axis, size) for axis, size in ((0, height), (1, width)))
        if not rows or not columns:
            return super().forward(input)  # which says why it cannot
        # (N, H W C) without a copy, if the memory format is channels_last.
        flat = input.permute(0, 2, 3, 1).reshape(n, -1)
        bias = None if self.bias is None else self.bias.repeat(len(rows) * len(columns))
        out = nn.functional.linear(flat, _matrix(self.weight, rows, columns), bias)
        return out.view(n, len(rows), len(columns), self.out_channels).permute(0, 3, 1, 2)


def use_small_map_products(module: nn.Module) -> nn.Module:
    """Replace every convolution in a module that can become a SmallMapConv2d, in place.

    Parameters stay the same objects under the same names, so that optimisers, checkpoints and
    `load_state_dict` do not notice. Grouped convolutions and those padded with anything but zeros
    stay as they are.

    Returns:
        The module.
    """
    for name, conv in list(module.named_modules()):
        if type(conv) is not nn.Conv2d or conv.groups > 1 or not _padded_with_zeros(conv):
            continue
        other = SmallMapConv2d(
            conv.in_channels,
            conv.out_channels,
            conv.kernel_size,  # type: ignore[arg-type]
            conv.stride,  # type: ignore[arg-type]
            conv.padding,  # type: ignore[arg-type]
            conv.dilation,  # type: ignore[arg-type]
            bias=conv.bias is not None,
            device="meta",
        )
        other.weight, other.bias = conv.weight, conv.bias
        other.train(conv.training)
        module.set_submodule(name, other)
    return module


def _padded_with_zeros(conv: nn.Conv2d) -> bool:
    return conv.padding_mode == "zeros" and not isinstance(conv.padding, str)


def _taps(conv: nn.Conv2d, axis: int, size: int) -> list[list[int | None]]:
    """For each output position along an axis the tap that meets each input position, or None."""
    kernel, stride, dilation = conv.kernel_size[axis], conv.stride[axis], conv.dilation[axis]
    padding = int(conv.padding[axis])
    outputs = (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1
    return [
        [_tap(i + padding - o * stride, kernel, dilation) for i in range(size)]
        for o in range(outputs)
    ]


def _tap(offset: int, kernel: int, dilation: int) -> int | None:
    tap, rest = divmod(offset, dilation)
    return tap if rest == 0 and 0 <= tap < kernel else None


def _matrix(
    weight: Tensor, rows: list[list[int | None]], columns: list[list[int | None]]
) -> Tensor:
    """The convolution as a matrix, (output positions * C_out, input positions * C_in)."""
    taps = [line.unbind(-1) for line in weight.unbind(2)]
    zero = torch.zeros_like(taps[0][0])

    def block(row: int | None, column: int | None) -> Tensor:
        return zero if row is None or column is None else taps[row][column]

    return torch.cat(
        [
            torch.cat([block(row, column) for row, column in product(across, down)], dim=1)
            for across, down in product(rows, columns)
        ]
    )

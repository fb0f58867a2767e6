from typing import Any

import pytest
import torch

from df_heads import FeedForwardProjectionHead, TransformerProjectionHead

SMALL: dict[str, Any] = {"num_layers": 1, "num_heads": 2, "head_dim": 4}


@pytest.mark.parametrize("sequence_length", [None, 4])
@pytest.mark.parametrize("attention", ["softmax", "tied", "self", "uniform"])
def test_any_batch_size_and_mask(attention: Any, sequence_length: int | None) -> None:
    head = TransformerProjectionHead(
        6, 8, 4, **SMALL, form="paper", attention=attention, sequence_length=sequence_length
    )
    batch = torch.export.Dim("batch", min=2, max=64)
    inputs = (torch.randn(10, 6), torch.ones(10, 10, dtype=torch.bool))
    shapes = ({0: batch}, {0: batch, 1: batch})
    program: Any = torch.export.export(head, inputs, dynamic_shapes=shapes, strict=False).module()
    for n in (2, 3, 4, 5, 8, 13, 64):
        x, mask = torch.randn(n, 6), torch.rand(n, n) < 0.7
        torch.testing.assert_close(program(x, mask), head(x, mask))


@pytest.mark.parametrize(
    "head",
    [
        TransformerProjectionHead(6, 8, 4, **SMALL, sequence_length=3).eval(),
        FeedForwardProjectionHead(6, 8, 4).eval(),
    ],
)
@pytest.mark.parametrize("shape", [(10, 6), (2, 10, 6)])
def test_any_batch_size_of_views(head: torch.nn.Module, shape: tuple[int, ...]) -> None:
    axis = len(shape) - 2
    batch = torch.export.Dim("batch", min=2, max=64)
    program: Any = torch.export.export(
        head, (torch.randn(shape),), dynamic_shapes=({axis: batch},), strict=False
    ).module()
    for n in (2, 3, 7, 64):
        x = torch.randn(*shape[:axis], n, 6)
        torch.testing.assert_close(program(x), head(x))

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from df_heads.integrations.backbones import build_backbone
from df_heads.integrations.small_maps import MOST_POSITIONS, SmallMapConv2d, use_small_map_products


def outputs_and_gradients(conv: nn.Module, x: Tensor) -> list[Tensor]:
    x = x.clone().requires_grad_()
    conv.zero_grad()
    out = conv(x)
    weights = torch.linspace(-1, 1, out.numel(), dtype=out.dtype).view_as(out)
    (out * weights).sum().backward()
    assert x.grad is not None
    return [out, x.grad, *(p.grad for p in conv.parameters() if p.grad is not None)]


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (1, 2), (3, 3), (4, 4)])
@pytest.mark.parametrize(
    ("kernel", "options"),
    [
        (3, {"padding": 1}),
        (3, {"padding": 1, "stride": 2}),
        (1, {"stride": 2}),
        (3, {"padding": 2, "dilation": 2}),
        ((3, 5), {"padding": (1, 2), "stride": (1, 2), "bias": False}),
        (7, {"padding": 3, "stride": 2}),
    ],
)
def test_equals_the_convolution(
    size: tuple[int, int], kernel: int, options: dict[str, Any]
) -> None:
    conv = nn.Conv2d(3, 5, kernel, dtype=torch.float64, **options)
    other = use_small_map_products(nn.Sequential(copy.deepcopy(conv)))
    assert isinstance(other.get_submodule("0"), SmallMapConv2d)
    x = torch.randn(4, 3, *size, dtype=torch.float64)
    ours, theirs = outputs_and_gradients(other, x), outputs_and_gradients(conv, x)
    assert len(ours) == len(theirs) == 2 + len(list(conv.parameters()))
    for one, two in zip(ours, theirs, strict=True):
        assert torch.allclose(one, two, rtol=0, atol=1e-12)


def test_only_small_maps_go_another_way(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    linear = nn.functional.linear

    def counted(*arguments: Any) -> Tensor:
        calls.append(1)
        return linear(*arguments)

    monkeypatch.setattr(nn.functional, "linear", counted)
    conv = use_small_map_products(nn.Sequential(nn.Conv2d(2, 2, 3, padding=1)))
    for size, used in ((3, 1), (4, 0)):
        calls.clear()
        conv(torch.randn(1, 2, size, size))
        assert len(calls) == used
        assert (size * size <= MOST_POSITIONS) == bool(used)


def test_an_output_that_would_be_empty_is_refused_as_by_conv2d() -> None:
    conv = use_small_map_products(nn.Sequential(nn.Conv2d(2, 2, 3)))
    with pytest.raises(RuntimeError, match="[Kk]ernel size"):
        conv(torch.randn(1, 2, 2, 2))


def test_what_cannot_become_one_stays() -> None:
    kinds = [
        nn.Conv2d(4, 4, 3, groups=2),
        nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect"),
        nn.Conv2d(4, 4, 3, padding="same"),
        nn.Conv1d(4, 4, 3),
    ]
    model = use_small_map_products(nn.Sequential(*kinds))
    assert not any(isinstance(module, SmallMapConv2d) for module in model.children())


def test_a_resnet_keeps_its_parameters_and_features() -> None:
    backbone = build_backbone("resnet18")
    faster = build_backbone("resnet18")
    for module in backbone.modules():  # timm starts each block's last BatchNorm at 0
        if isinstance(module, nn.BatchNorm2d):
            nn.init.ones_(module.weight)
    faster.load_state_dict(backbone.state_dict())
    before = dict(faster.named_parameters())
    assert use_small_map_products(faster) is faster
    after = dict(faster.named_parameters())
    assert list(before) == list(after)
    assert all(before[name] is after[name] for name in before)
    assert list(faster.state_dict()) == list(backbone.state_dict())
    images = torch.randn(2, 3, 32, 32)
    backbone.eval()
    faster.eval()
    assert torch.allclose(backbone(images), faster(images), atol=1e-4)
    larger = torch.randn(1, 3, 96, 96)
    assert torch.allclose(backbone(larger), faster(larger), atol=1e-4)

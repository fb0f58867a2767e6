from typing import Any

import pytest
import torch
from einops import rearrange
from torch import Tensor, nn

from df_heads import FeedForwardProjectionHead, TransformerProjectionHead
from df_heads.attention import AttentionMode, BatchAttention
from df_heads.fusion import record_attention

MODES: list[AttentionMode] = ["softmax", "tied", "self", "uniform"]
# Fewer tokens than head_dim: then equal outputs mean equal weights.
TOKENS, HEAD_DIM = 11, 16


def small_head(**options: Any) -> TransformerProjectionHead:
    torch.manual_seed(0)
    options = {"num_layers": 3, "num_heads": 4, "head_dim": HEAD_DIM, **options}
    return TransformerProjectionHead(12, 16, 16, **options).eval()


def features(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1), dtype=dtype)


def random_mask(*shape: int) -> Tensor:
    mask = torch.rand(*shape, generator=torch.Generator().manual_seed(2)) < 0.6
    mask[..., 3, :] = False
    return mask


MASKS: dict[str, Any] = {
    "none": None,
    "2-D": random_mask(TOKENS, TOKENS),
    "3-D": random_mask(2, TOKENS, TOKENS),
}


@pytest.mark.parametrize("sequence_length", [None, 1, 4, TOKENS, 20])
@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("attention", MODES)
def test_maps_reproduce_the_fused_output(
    attention: str, mask: str, sequence_length: int | None
) -> None:
    head = small_head(attention=attention, sequence_length=sequence_length).double()
    for layer in head.modules():
        if isinstance(layer, BatchAttention) and attention == "tied":
            layer.cosine_scale.data = torch.tensor([1.0, 5.0, 10.0, 20.0]).double()
    seen: list[tuple[BatchAttention, Tensor, Tensor]] = []
    for layer in head.modules():
        if isinstance(layer, BatchAttention):
            layer.register_forward_hook(lambda m, args, out: seen.append((m, args[0], out)))

    with record_attention(head) as maps:
        head(features(2, TOKENS, 12, dtype=torch.float64), MASKS[mask])

    assert list(maps) == [0, 1, 2]
    length = sequence_length or TOKENS
    block = torch.arange(TOKENS) // length
    visible = (block[:, None] == block).expand(2, TOKENS, TOKENS)
    if MASKS[mask] is not None:
        visible = visible & MASKS[mask]
    if attention == "self":
        visible = visible & torch.eye(TOKENS, dtype=torch.bool)
    visible = visible[:, None].expand(2, 4, TOKENS, TOKENS)
    for weights, (layer, x, fused) in zip(maps.values(), seen, strict=True):
        assert weights.shape == (2, 4, TOKENS, TOKENS)
        mixed = weights @ layer.project(x)[2]
        out = layer.to_out(rearrange(mixed, "s h n d -> s n (h d)"))
        assert (out - fused).abs().max() < 1e-10
        assert weights[~visible].abs().sum() == 0
        assert torch.allclose(weights.sum(-1), visible.any(-1).double(), atol=1e-12, rtol=0)
        if attention == "self":
            assert torch.equal(weights, visible.double())
        if attention == "uniform":
            count = visible.sum(-1, keepdim=True).clamp(min=1)
            assert torch.allclose(weights, visible.double() / count, atol=1e-15, rtol=0)


def test_chosen_layers_and_heads_come_in_the_order_asked_for() -> None:
    head, x = small_head(), features(TOKENS, 12)
    with record_attention(head) as everything:
        head(x)
    with record_attention(head, layers=[2, 0], heads=[3, 1]) as maps:
        head(x)
    assert sorted(maps) == [0, 2]
    for layer, weights in maps.items():
        assert torch.allclose(weights, everything[layer][:, [3, 1]], atol=1e-6)
    with pytest.raises(KeyError, match="layer 1 was not recorded"):
        maps[1]


def test_any_model_with_a_head_inside_and_keyword_arguments() -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.backbone = nn.Linear(5, 12)
            self.projection_head = small_head(num_layers=1)
            self.alone = BatchAttention(16, num_heads=2)

        def forward(self, x: Tensor, mask: Tensor) -> Tensor:
            z = self.projection_head(self.backbone(x), attn_mask=mask)
            return self.alone(x=z[None], attn_mask=mask)

    model, mask = Model(), MASKS["2-D"]
    with record_attention(model) as maps:
        model(features(TOKENS, 5), mask)
    assert [m.shape[1] for m in maps.values()] == [4, 2]
    assert maps[1][0, 0][~mask].abs().sum() == 0
    assert maps[1][0, 0][mask].min() > 0


def test_the_last_forward_is_kept() -> None:
    head = small_head()
    with record_attention(head) as maps:
        head(features(5, 12))
        head(features(2, 7, 12))
    assert maps[0].shape == (2, 4, 7, 7)
    with record_attention(head) as again:
        head(features(2, 7, 12))
    assert torch.equal(maps[2], again[2])


def test_training_is_not_touched() -> None:
    def step(record: bool) -> list[Tensor]:
        head = small_head(dropout=0.3).train()
        head.blocks[1].eval()
        x = features(TOKENS, 12).requires_grad_()
        torch.manual_seed(3)
        if record:
            with record_attention(head) as maps:
                z = head(x)
            assert not any(weights.requires_grad for weights in maps.values())
            assert torch.allclose(maps[0].sum(-1), torch.ones(1, 4, TOKENS))
        else:
            z = head(x)
        z.square().sum().backward()
        assert [block.training for block in head.blocks] == [True, False, True]
        grads = [p.grad for p in head.parameters()]
        return [z, x.grad, *grads, torch.rand(1)]

    for recorded, plain in zip(step(True), step(False), strict=True):
        assert torch.equal(recorded, plain)


def test_no_hooks_stay_behind() -> None:
    def hooks(head: nn.Module) -> int:
        return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in head.modules())

    head = small_head()
    with record_attention(head):
        assert hooks(head) == 3
    assert hooks(head) == 0
    with pytest.raises(RuntimeError, match="interrupted"), record_attention(head):
        raise RuntimeError("interrupted")
    assert hooks(head) == 0
    with pytest.raises(ValueError, match="max_gib"), record_attention(head, max_gib=1e-9):
        head(features(TOKENS, 12))
    assert hooks(head) == 0


def test_maps_under_autocast_are_float32_and_those_of_the_kernel() -> None:
    for attention in MODES:
        layer = BatchAttention(16, num_heads=2, head_dim=HEAD_DIM, attention=attention)
        x = features(1, TOKENS, 16)
        with record_attention(layer) as maps, torch.autocast("cpu", dtype=torch.bfloat16):
            fused = layer(x)
            mixed = maps[0] @ layer.project(x)[2].float()
            out = layer.to_out(rearrange(mixed, "s h n d -> s n (h d)"))
        assert maps[0].dtype == torch.float32
        assert torch.allclose(maps[0].sum(-1), torch.ones(1, 2, TOKENS))
        assert torch.allclose(out.float(), fused.float(), atol=0.02)


def test_too_large_a_batch_says_how_much_it_takes_and_what_helps() -> None:
    head, x = small_head(), torch.zeros(2, 512, 12)
    # 3 layers x 4 heads x 2 x 512 x 512 x 4 bytes = 24 MiB.
    message = (
        r"12 heads .* 2 x 512 tokens would take 0.0234 GiB, more than max_gib=0.023; pass fewer "
        r"layers or heads, a smaller batch"
    )
    with pytest.raises(ValueError, match=message), record_attention(head, max_gib=0.023) as maps:
        head(x)
    assert not maps
    with record_attention(head, layers=[1], heads=[0], max_gib=0.002) as maps:
        head(x)
    assert maps[1].shape == (2, 1, 512, 512)


@pytest.mark.parametrize(
    ("head", "options", "message"),
    [
        (FeedForwardProjectionHead(8, 8, 8), {}, "FeedForwardProjectionHead has 0 attention layer"),
        (small_head(), {"layers": [0, 3]}, r"layers=\[0, 3\] must name .* the 3 there are, 0 to 2"),
        (small_head(), {"layers": [-1]}, r"layers=\[-1\] must name"),
        (small_head(), {"layers": []}, r"layers=\[\] must name"),
        (small_head(), {"heads": iter([4])}, r"heads=\[4\] must name .* the 4 there are, 0 to 3"),
    ],
)
def test_bad_choices_get_one_clear_sentence(
    head: nn.Module, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message), record_attention(head, **options):
        pass


def test_maps_are_in_the_order_of_the_layers_and_count_from_the_end() -> None:
    class Backwards(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.last, self.first = small_head(num_layers=1), small_head(num_layers=2)

        def forward(self, x: Tensor) -> None:
            self.first(x)
            self.last(x)

    model = Backwards()
    with record_attention(model) as maps:
        model(features(TOKENS, 12))
    assert list(maps) == list(maps.keys()) == [0, 1, 2]
    assert all(value is maps[layer] for layer, value in zip(range(3), maps.values(), strict=True))
    assert maps[-1] is maps[2]
    assert maps[-3] is maps[0]
    assert -1 not in maps
    with pytest.raises(KeyError, match="layer -4 was not recorded"):
        maps[-4]
    with record_attention(model, layers=[0, 2]) as some:
        model(features(TOKENS, 12))
    assert some[-1] is some[2]
    assert some[-2] is some[0]

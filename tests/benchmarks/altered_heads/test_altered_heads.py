"""The exchanged parts, each beside the part that it replaces."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from df_heads.benchmarks.harness.altered_heads.attentions import (
    DetachedTokens,
    HalfBatch,
    MostSimilar,
    RandomKeys,
    StoppedWeights,
)
from df_heads.benchmarks.harness.altered_heads.batch_statistics import (
    CentredTokens,
    centre_before,
)
from df_heads.benchmarks.harness.altered_heads.previous_batch import PreviousBatch
from df_heads.benchmarks.harness.train.heads import _ALTERED, build_named_head
from df_heads.block import TransformerBlock
from df_heads.presets import build_head

DIM, HEADS, HEAD_DIM = 6, 2, 4


def block(attention: Any = "softmax") -> TransformerBlock:
    """A block with an attention that is far from uniform."""
    torch.manual_seed(0)
    head: Any = build_head(
        "transformer-small",
        5,
        hidden_dim=DIM,
        output_dim=DIM,
        num_layers=1,
        num_heads=HEADS,
        head_dim=HEAD_DIM,
        attention=attention,
    )
    made: TransformerBlock = head.blocks[0]
    nn.init.normal_(made.attention.to_qkv.weight)
    return made.double()


def exchanged(kind: Any, attention: str = "softmax") -> Any:
    return kind.put_into(block(attention)).attention


def tokens(count: int = 12, sequences: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(sequences, count, DIM, generator=generator, dtype=torch.float64)


def influences(layer: nn.Module, x: Tensor) -> Tensor:
    """Whether token j of the first sequence reaches output i: bool (N, N)."""
    jacobian = torch.autograd.functional.jacobian(lambda t: layer(t)[0], x)[:, :, 0]
    return jacobian.abs().amax(dim=(1, 3)) > 1e-12


@pytest.mark.parametrize("name", _ALTERED)
def test_every_altered_head_is_its_preset_but_for_one_part(name: str) -> None:
    torch.manual_seed(0)
    altered = build_named_head(f"{name}-small", 16)
    torch.manual_seed(0)
    preset = build_head(f"{_ALTERED[name][0]}-small", 16)
    x = torch.randn(2, 9, 16)
    assert altered(x).shape == preset(x).shape == (2, 9, 128)
    counts = [sum(p.numel() for p in head.parameters()) for head in (altered, preset)]
    assert counts[0] == pytest.approx(counts[1], rel=2e-3)
    kept = {key.replace("block.", ""): value for key, value in altered.state_dict().items()}
    for key, value in preset.state_dict().items():
        if not (name == "feedforward-residual" and ".attention." in key):
            assert torch.equal(kept[key], value), key


def test_a_uniform_attention_can_learn_to_centre_its_tokens() -> None:
    uniform, off = block("uniform"), block("self")
    centred = centre_before(off)
    with torch.no_grad():
        for attention in (uniform.attention, off.attention):
            attention.to_qkv.weight.zero_()
            attention.to_out.weight.zero_()
            attention.to_out.bias.zero_()
        # The value is the token itself, and what is added is minus its mean.
        uniform.attention.to_qkv.weight[-HEADS * HEAD_DIM :][:DIM] = torch.eye(DIM)
        uniform.attention.to_out.weight[:, :DIM] = -torch.eye(DIM)
    torch.testing.assert_close(uniform(tokens()), centred(tokens()))


def test_centred_tokens_have_no_mean_and_no_parameters() -> None:
    centre = CentredTokens()
    assert not list(centre.parameters())
    assert centre(tokens()).mean(dim=1).abs().max() < 1e-12


def test_detached_tokens_change_no_output_and_get_no_gradient() -> None:
    usual, detached = block("uniform").attention, exchanged(DetachedTokens, "uniform")
    x = tokens().requires_grad_()
    torch.testing.assert_close(detached(x), usual(x))
    (detached(x) ** 2).sum().backward()
    assert x.grad is None
    (usual(tokens()) ** 2).sum().backward()
    torch.testing.assert_close(detached.to_qkv.weight.grad, usual.to_qkv.weight.grad)


def test_stopped_weights_teach_values_only() -> None:
    usual, stopped = block().attention, exchanged(StoppedWeights)
    torch.testing.assert_close(stopped(tokens()), usual(tokens()))
    (stopped(tokens()) ** 2).sum().backward()
    q, k, v = stopped.to_qkv.weight.grad.chunk(3)
    assert not q.any()
    assert not k.any()
    assert v.any()


def test_random_keys_keep_the_sharpness_and_lose_the_address() -> None:
    usual, random = block().attention, exchanged(RandomKeys)
    torch.manual_seed(0)
    weights, again = random.attention_weights(tokens()), random.attention_weights(tokens())
    found = usual.attention_weights(tokens())
    assert not torch.allclose(weights, again)
    torch.testing.assert_close(weights.sort(dim=-1).values, found.sort(dim=-1).values)
    for sequence, other in ((weights, found), (weights[0], weights[1])):
        assert not torch.allclose(sequence, other)
    # All tokens and heads of a sequence share the permutation: the columns are the same ones.
    torch.testing.assert_close(
        weights[0].sum(dim=(0, 1)).sort().values, found[0].sum(dim=(0, 1)).sort().values
    )


@pytest.mark.parametrize("count", [2, 7, 12])
def test_half_a_batch_never_sees_the_other_half(count: int) -> None:
    reached = influences(exchanged(HalfBatch), tokens(count))
    first = torch.arange(count) < (count + 1) // 2
    assert torch.equal(reached, first[:, None] == first)


def test_the_most_similar_tokens_are_those_of_the_largest_weights() -> None:
    x = tokens()
    usual, sparse = block().attention, exchanged(MostSimilar)
    torch.testing.assert_close(sparse(x[:, :8]), usual(x[:, :8]))
    v = sparse.project(x)[2]
    weights = usual.attention_weights(x)
    least = weights.sort(dim=-1, descending=True).values[..., MostSimilar.most - 1, None]
    kept = weights * (weights >= least)
    mixed = (kept / kept.sum(dim=-1, keepdim=True)) @ v
    torch.testing.assert_close(sparse(x), sparse.to_out(mixed.transpose(1, 2).flatten(start_dim=2)))


@pytest.mark.parametrize("sequences", [None, 2])
def test_the_most_similar_are_among_the_visible(sequences: int | None) -> None:
    shape = (12, 12) if sequences is None else (sequences, 12, 12)
    mask = (torch.arange(12)[:, None] % 4 == torch.arange(12) % 4).expand(shape)
    torch.testing.assert_close(
        exchanged(MostSimilar)(tokens(), mask), block().attention(tokens(), mask)
    )


def test_the_previous_batch_is_attended_to_without_gradients() -> None:
    usual, layer = block().attention, exchanged(PreviousBatch)
    first, second = tokens(), 2 * tokens().flip(1)
    torch.testing.assert_close(layer(first), usual(first))
    q = usual.project(second)[0]
    _, k, v = usual.project(first)
    mixed = ((usual.softmax_scale * q) @ k.mT).softmax(dim=-1) @ v
    expected = usual.to_out(mixed.transpose(1, 2).flatten(start_dim=2))
    torch.testing.assert_close(layer.eval()(second), expected)
    # What was only evaluated is not remembered.
    torch.testing.assert_close(layer.train()(second), expected)
    reached = influences(layer.eval(), first)
    assert torch.equal(reached, torch.eye(12, dtype=torch.bool))


def test_the_memory_of_the_previous_batch_is_in_the_checkpoint() -> None:
    layer, resumed = exchanged(PreviousBatch), exchanged(PreviousBatch)
    resumed.load_state_dict(layer.state_dict())
    torch.testing.assert_close(resumed.eval()(tokens()), layer.eval()(tokens()))
    layer.train()(3 * tokens())
    resumed.load_state_dict(layer.state_dict())
    torch.testing.assert_close(resumed.eval()(tokens()), layer.eval()(tokens()))
    # A single sequence attends to the first one of the memory.
    torch.testing.assert_close(layer(tokens()[:1])[0], layer(tokens())[0])


def test_the_previous_batch_takes_no_mask() -> None:
    with pytest.raises(ValueError, match="neither attn_mask nor gather_distributed"):
        exchanged(PreviousBatch)(tokens(), torch.ones(12, 12, dtype=torch.bool))


@pytest.mark.parametrize("name", ["feedforward-residual", "transformer-self-centred"])
def test_what_mixes_and_what_does_not(name: str) -> None:
    head = build_named_head(f"{name}-small", 8)
    x = torch.randn(2, 6, 8)
    moved = x.clone()
    moved[:, 0] += 1
    changed = (head(moved) - head(x)).abs().amax(dim=-1) > 1e-6
    others = changed[:, 1:]
    assert changed[:, 0].all()
    assert others.all() if name == "transformer-self-centred" else not others.any()


@pytest.mark.parametrize(
    "name", ["transformer-self-centred", "transformer-self-batchnorm", "transformer-top8"]
)
def test_the_order_of_the_tokens_says_nothing(name: str) -> None:
    head = build_named_head(f"{name}-small", 8)
    x = torch.randn(2, 20, 8)
    shuffled = torch.randperm(20, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(head(x[:, shuffled]), head(x)[:, shuffled], atol=1e-4, rtol=1e-4)

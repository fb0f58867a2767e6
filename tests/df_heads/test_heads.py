import copy
import io
import itertools
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch import distributed as dist

from df_heads import HEAD_PRESETS, FeedForwardProjectionHead, TransformerProjectionHead, build_head
from df_heads.attention import AttentionMode, BatchAttention

MODES: list[AttentionMode] = ["softmax", "tied", "self", "uniform"]


def small_head(**options: Any) -> TransformerProjectionHead:
    torch.manual_seed(0)
    options = {"form": "paper", "num_layers": 2, "num_heads": 4, "head_dim": 8, **options}
    return TransformerProjectionHead(12, 16, options.pop("output_dim", 16), **options)


def same_weights(head: TransformerProjectionHead, **options: Any) -> TransformerProjectionHead:
    twin = small_head(**options)
    twin.load_state_dict(head.state_dict())
    return twin


def features(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1), dtype=dtype)


def plain_attention(layer: BatchAttention, x: Tensor, mask: Tensor) -> Tensor:
    """One sequence (N, dim), one head at a time, with the weights written out."""
    width = layer.num_heads * layer.head_dim
    weights = layer.to_qkv.weight.split(width)
    outputs = []
    for h in range(layer.num_heads):
        rows = slice(h * layer.head_dim, (h + 1) * layer.head_dim)
        q = x @ weights[0][rows].T
        k = q if layer.attention == "tied" else x @ weights[1][rows].T
        v = x @ weights[-1][rows].T
        if layer.attention == "tied":
            norms = q.norm(dim=1)
            scores = layer.cosine_scale[h] * (q @ k.T) / norms[:, None] / norms[None]
        else:
            scores = q @ k.T / layer.head_dim**0.5
        if layer.attention == "uniform":
            scores = scores * 0
        e = torch.exp(scores - scores.max().detach()) * mask
        outputs.append(e / e.sum(dim=1, keepdim=True) @ v)
    return torch.cat(outputs, dim=1) @ layer.to_out.weight.T + layer.to_out.bias


def plain_norm(norm: nn.LayerNorm, x: Tensor) -> Tensor:
    centred = x - x.mean(dim=-1, keepdim=True)
    return (
        centred / (centred.pow(2).mean(-1, keepdim=True) + norm.eps).sqrt() * norm.weight
        + norm.bias
    )


def plain_head(head: TransformerProjectionHead, x: Tensor, mask: Tensor | None = None) -> Tensor:
    """The head on one sequence, from its weights and the textbook formulas."""
    n = len(x)
    mask = torch.ones(n, n, dtype=torch.bool) if mask is None else mask
    x = x @ head.input.weight.T + head.input.bias
    block: Any
    for block in head.blocks:
        if block.attention.attention == "self":
            mask = mask & torch.eye(n, dtype=torch.bool)

        def mlp(y: Tensor, layers: Any = block.mlp) -> Tensor:
            hidden = y @ layers[0].weight.T + layers[0].bias
            gelu = hidden * 0.5 * (1 + torch.erf(hidden / 2**0.5))
            return gelu @ layers[3].weight.T + layers[3].bias

        if block.norm_first:
            x = x + plain_attention(block.attention, plain_norm(block.attention_norm, x), mask)
            x = x + mlp(plain_norm(block.mlp_norm, x))
        else:
            x = plain_norm(block.attention_norm, x + plain_attention(block.attention, x, mask))
            x = plain_norm(block.mlp_norm, x + mlp(x))
    if isinstance(head.norm, nn.LayerNorm):
        x = plain_norm(head.norm, x)
    if isinstance(head.output, nn.Linear):
        x = x @ head.output.weight.T + head.output.bias
    return x


def gradients(head: nn.Module, loss: Tensor) -> list[Tensor]:
    return [
        torch.zeros_like(p) if g is None else g
        for p, g in zip(
            head.parameters(),
            torch.autograd.grad(loss, list(head.parameters()), allow_unused=True),
            strict=True,
        )
    ]


@pytest.mark.parametrize("norm_first", [False, True])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("output_dim", [16, 10])
@pytest.mark.parametrize("attention", MODES)
def test_outputs_and_gradients_equal_the_plain_formulas(
    attention: str, output_dim: int, masked: bool, norm_first: bool
) -> None:
    head = small_head(attention=attention, output_dim=output_dim, norm_first=norm_first).double()
    x = features(9, 12, dtype=torch.float64)
    mask = None
    if masked:
        mask = torch.rand(9, 9, generator=torch.Generator().manual_seed(2)) > 0.4
        mask |= torch.eye(9, dtype=torch.bool)
    target = features(9, output_dim, dtype=torch.float64)

    fused, plain = head(x, attn_mask=mask), plain_head(head, x, mask)
    torch.testing.assert_close(fused, plain, atol=1e-10, rtol=0)
    for ours, theirs in zip(
        gradients(head, (fused * target).sum()),
        gradients(head, (plain * target).sum()),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs, atol=1e-10, rtol=0)


@pytest.mark.parametrize("attention", MODES)
def test_permuting_the_batch_permutes_the_output(attention: AttentionMode) -> None:
    head = small_head(attention=attention).double()
    x = features(11, 12, dtype=torch.float64)
    order = torch.randperm(11, generator=torch.Generator().manual_seed(3))
    torch.testing.assert_close(head(x[order]), head(x)[order], atol=1e-12, rtol=0)


def test_the_batch_matters_to_each_sample() -> None:
    head, x = small_head(), features(6, 12)
    other = torch.cat([x[:5], features(1, 12) + 3])
    assert (head(x)[:5] - head(other)[:5]).abs().max() > 1e-3


def test_self_attention_is_per_sample() -> None:
    head, x = small_head(attention="self"), features(6, 12)
    alone = torch.cat([head(row[None]) for row in x])
    torch.testing.assert_close(head(x), alone, atol=1e-6, rtol=0)


def test_self_equals_softmax_with_a_diagonal_mask() -> None:
    head, x = small_head(), features(6, 12)
    masked = head(x, attn_mask=torch.eye(6, dtype=torch.bool))
    torch.testing.assert_close(same_weights(head, attention="self")(x), masked, atol=1e-6, rtol=0)


@pytest.mark.parametrize("attention", MODES)
@pytest.mark.parametrize(("samples", "length"), [(12, 4), (11, 4), (5, 4), (4, 4), (3, 4), (6, 1)])
def test_cutting_into_sequences_equals_separate_calls(
    samples: int, length: int, attention: str
) -> None:
    whole = small_head(attention=attention).double()
    cut = same_weights(whole.float(), attention=attention, sequence_length=length).double()
    whole = whole.double()
    x = features(2, samples, 12, dtype=torch.float64)
    calls = torch.stack(
        [torch.cat([whole(part) for part in sequence.split(length)]) for sequence in x]
    )
    torch.testing.assert_close(cut(x), calls, atol=1e-12, rtol=0)


@pytest.mark.parametrize("per_sequence", [False, True])
def test_a_mask_is_cut_with_its_tokens(per_sequence: bool) -> None:
    whole = small_head()
    cut = same_weights(whole, sequence_length=4)
    x = features(2, 10, 12)
    shape = (2, 10, 10) if per_sequence else (10, 10)
    mask = torch.rand(shape, generator=torch.Generator().manual_seed(2)) > 0.5
    mask |= torch.eye(10, dtype=torch.bool)
    inside = torch.block_diag(torch.ones(4, 4), torch.ones(4, 4), torch.ones(2, 2)).bool()
    torch.testing.assert_close(
        cut(x, attn_mask=mask), whole(x, attn_mask=mask & inside), atol=1e-5, rtol=0
    )


@pytest.mark.parametrize("attention", MODES)
def test_masked_padding_equals_no_padding(attention: AttentionMode) -> None:
    head, x = small_head(attention=attention), features(7, 12)
    padded = torch.cat([x, features(3, 12) * 100])
    mask = torch.ones(10, 10, dtype=torch.bool)
    mask[:, 7:] = False
    torch.testing.assert_close(head(padded, attn_mask=mask)[:7], head(x), atol=1e-5, rtol=0)


def test_a_token_that_may_attend_to_nothing_gets_no_value() -> None:
    for attention in MODES:
        layer = BatchAttention(16, num_heads=4, head_dim=8, attention=attention)
        mask = torch.ones(5, 5, dtype=torch.bool)
        mask[2] = False
        out = layer(features(1, 5, 16), mask)
        torch.testing.assert_close(out[0, 2], layer.to_out.bias, atol=1e-6, rtol=0)


def test_sequences_are_independent() -> None:
    head, x = small_head(), features(3, 5, 12)
    torch.testing.assert_close(head(x), torch.stack([head(s) for s in x]), atol=1e-6, rtol=0)


@pytest.mark.parametrize("attention", MODES)
@pytest.mark.parametrize("norm_first", [False, True])
def test_a_batch_of_one_works(norm_first: bool, attention: str) -> None:
    head = small_head(norm_first=norm_first, attention=attention)
    assert head(features(1, 12)).isfinite().all()


def test_positional_dims_in_any_mix_as_for_the_heads_of_lightly() -> None:
    for dims in itertools.permutations([8, 16, 32]):
        for head in (TransformerProjectionHead(*dims), FeedForwardProjectionHead(*dims)):
            for training, samples in itertools.product([False, True], [1, 2]):
                head.train(training)
                x = features(samples, dims[0])
                if training and samples == 1:
                    with pytest.raises(ValueError, match="batch of 1"):
                        head(x)
                    continue
                z = head(x)
                assert z.shape == (samples, dims[2])
                assert z.isfinite().all()
                if training:
                    z.pow(3).sum().backward()
                    assert all(p.grad is not None for p in head.parameters())


def test_parameter_counts_of_the_presets() -> None:
    counts = {
        name: sum(p.numel() for p in build_head(name, 512).parameters()) for name in HEAD_PRESETS
    }
    # The paper: FFN 1.9M and 7.4M, Transformer 1.9M and 7.6M (in units of 2^20).
    assert counts["feedforward-small"] == 1_889_792
    assert counts["feedforward-large"] == 7_354_880
    assert counts["transformer-small"] == 2_038_144
    assert counts["transformer-large"] == 8_008_448
    assert round(counts["transformer-small"] / 2**20, 1) == 1.9
    assert round(counts["transformer-large"] / 2**20, 1) == 7.6
    for size in ("small", "large"):
        for control in ("self", "uniform"):
            assert counts[f"transformer-{control}-{size}"] == counts[f"transformer-{size}"]
    pre_norm = TransformerProjectionHead.small(512, norm_first=True)
    assert sum(p.numel() for p in pre_norm.parameters()) == 2_038_400


def test_controls_load_the_weights_of_the_softmax_head() -> None:
    head = small_head()
    for control in ("self", "uniform"):
        same_weights(head, attention=control)


def test_dropout_acts_in_training_only() -> None:
    for attention in MODES:
        head, x = small_head(dropout=0.5, attention=attention), features(6, 12)
        assert not torch.equal(head(x), head(x))
        head.eval()
        assert torch.equal(head(x), head(x))


def test_attention_dropout_of_the_self_control_keeps_the_mean() -> None:
    layer = BatchAttention(16, num_heads=4, head_dim=8, attention="self", dropout=0.5).double()
    x = features(1, 3, 16, dtype=torch.float64).expand(20_000, 3, 16)
    torch.manual_seed(0)
    dropped = layer(x).mean(dim=0)
    layer.eval()
    torch.testing.assert_close(dropped, layer(x[:1])[0], atol=0.02, rtol=0)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("attention", MODES)
def test_autocast_stays_close_to_float32(attention: str, dtype: torch.dtype) -> None:
    head = small_head(attention=attention)
    x = features(64, 12)
    exact = head(x)
    with torch.autocast("cpu", dtype=dtype):
        lower = head(x)
    # LayerNorm keeps the outputs near unit scale; bfloat16 has 8 bits, float16 has 11.
    bound = 0.06 if dtype == torch.bfloat16 else 0.01
    assert (lower - exact).abs().max() < bound
    lower.pow(3).sum().backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in head.parameters())


# The graph is what can break; Inductor's code, which takes long to make, is tested once.
@pytest.mark.slow
@pytest.mark.parametrize(
    ("backend", "options"),
    [
        ("aot_eager", {}),
        ("inductor", {"attention": "tied", "sequence_length": 4}),
    ],
)
def test_compiles_as_one_graph(backend: str, options: dict[str, Any]) -> None:
    head, x = small_head(**options), features(2, 10, 12)
    compiled = torch.compile(head, fullgraph=True, backend=backend)
    torch.testing.assert_close(compiled(x), head(x), atol=1e-5, rtol=0)


def test_exports_with_a_free_batch_size() -> None:
    head = small_head()
    batch = torch.export.Dim("batch", min=2)
    program = torch.export.export(head, (features(5, 12),), dynamic_shapes=({0: batch},))
    x = features(9, 12)
    torch.testing.assert_close(program.module()(x), head(x), atol=1e-6, rtol=0)


def test_copies_and_state_dicts_carry_everything() -> None:
    for head in (
        small_head(attention="tied", norm_first=True),
        FeedForwardProjectionHead(12, 16, 8),
    ):
        head.eval()
        x = features(6, 12)
        torch.testing.assert_close(copy.deepcopy(head)(x), head(x))
        file = io.BytesIO()
        torch.save(head.state_dict(), file)
        file.seek(0)
        twin = copy.deepcopy(head)
        for parameter in twin.parameters():
            nn.init.zeros_(parameter)
        twin.load_state_dict(torch.load(file, weights_only=True))
        torch.testing.assert_close(twin(x), head(x))


def test_feedforward_keeps_batch_statistics_inside_a_sequence() -> None:
    head = FeedForwardProjectionHead(12, 16, 8)
    x = features(2, 6, 12) * torch.tensor([1.0, 5.0])[:, None, None]
    torch.testing.assert_close(head(x), torch.stack([head(x[0]), head(x[1])]))


def test_feedforward_without_batch_norm_is_per_sample() -> None:
    head, x = FeedForwardProjectionHead(12, 16, 8, batch_norm=False), features(6, 12)
    torch.testing.assert_close(head(x), torch.cat([head(row[None]) for row in x]))


@pytest.mark.parametrize("head", [small_head(), FeedForwardProjectionHead(12, 16, 8)])
@pytest.mark.parametrize(
    ("x", "message"),
    [
        (torch.ones(12), r"shape \(12,\).*takes \(N, 12\)"),
        (torch.ones(2, 12, 4, 4), r"Flatten the features"),
        (torch.ones(5, 13), r"input_dim=12.*build it with input_dim=13"),
        (torch.ones(0, 12), "batch is empty"),
        (torch.ones(0, 4, 12), "batch is empty"),
        (torch.ones(5, 12, dtype=torch.long), "floating point"),
    ],
)
def test_bad_features_get_one_clear_sentence(head: nn.Module, x: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        head(x)


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (torch.ones(5, 5), "torch.float32; it must be torch.bool"),
        (torch.ones(4, 5, dtype=torch.bool), r"shape \(4, 5\).*\(5, 5\)"),
        (torch.ones(3, 5, 5, dtype=torch.bool), r"1 x 5 tokens"),
    ],
)
def test_bad_masks_get_one_clear_sentence(mask: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        small_head()(features(5, 12), attn_mask=mask)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_heads": 0}, "num_heads=0 must be a whole number"),
        ({"head_dim": 2.5}, "head_dim=2.5"),
        ({"num_layers": -1}, "num_layers=-1"),
        ({"sequence_length": 0}, "sequence_length=0"),
        ({"mlp_ratio": 0.0}, "mlp_ratio=0.0"),
        ({"dropout": 1.0}, "dropout=1.0"),
        ({"attention": "linear"}, "attention='linear' is not known; choose one of 'softmax'"),
    ],
)
def test_bad_options_get_one_clear_sentence(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        small_head(**options)


def test_gathering_changes_nothing_in_one_process(tmp_path: Path) -> None:
    x, mask = features(5, 12), torch.rand(5, 5) < 0.7
    alone, gathering = small_head(), small_head(gather_distributed=True)
    assert torch.equal(gathering(x, mask), alone(x, mask))
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/meet", rank=0, world_size=1)
    try:
        assert torch.equal(gathering(x, mask), alone(x, mask))
    finally:
        dist.destroy_process_group()


def test_head_names() -> None:
    family = build_head("transformer", 12)
    assert isinstance(family, TransformerProjectionHead)
    assert family.hidden_dim == 128
    with pytest.raises(
        ValueError, match=r"no head 'transfomer-large'. Did you mean 'transformer-large'"
    ):
        build_head("transfomer-large", 12)


def test_options_win_over_the_preset() -> None:
    head = build_head("transformer-self", 12, num_layers=2, num_heads=3)
    assert isinstance(head, TransformerProjectionHead)
    assert [block.attention.num_heads for block in head.blocks] == [3, 3]
    assert {block.attention.attention for block in head.blocks} == {"self"}
    with pytest.raises(ValueError, match="'feedforward' does not take .*num_heads"):
        build_head("feedforward", 12, num_heads=3)


def test_import_is_cheap() -> None:
    script = (
        "import sys, df_heads; "
        "print([m for m in ('lightly', 'timm', 'pytorch_lightning', 'lightning', 'torchvision')"
        " if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"

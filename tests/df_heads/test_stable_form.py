"""The form that starts as the head it replaces."""

import copy
import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from df_heads import TransformerProjectionHead, build_head
from df_heads.nt_xent import ChunkedNTXentLoss

MODES = ["softmax", "tied", "self", "uniform"]


def tiny_head(**options: Any) -> TransformerProjectionHead:
    torch.manual_seed(0)
    return TransformerProjectionHead(
        12, 16, 8, **{"num_layers": 2, "num_heads": 2, "head_dim": 4, **options}
    )


def features(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("attention", MODES)
def test_it_starts_as_batchnorm_and_the_head_it_replaces(attention: Any) -> None:
    head, x = tiny_head(attention=attention), features(10, 12)
    plain = nn.Sequential(
        nn.BatchNorm1d(12), head.input, nn.BatchNorm1d(16), nn.ReLU(), head.output
    )
    torch.testing.assert_close(head(x), plain(x))


@pytest.mark.parametrize("norm_first", [None, False])
@pytest.mark.parametrize("attention", MODES)
def test_every_parameter_moves_within_three_steps(attention: Any, norm_first: bool | None) -> None:
    head = tiny_head(attention=attention, norm_first=norm_first)
    before = copy.deepcopy(head.state_dict())
    optimizer = torch.optim.SGD(head.parameters(), lr=1.0)
    for step in range(3):
        optimizer.zero_grad()
        head(features(10, 12) + 0.1 * step).pow(3).sum().backward()
        optimizer.step()
    # No key or query moves uniform weights or those of one token.
    still = set() if attention in ("softmax", "tied") else {"query", "key"}
    for name, value in head.state_dict().items():
        if still and name.endswith("to_qkv.weight"):
            value, old = value[16:], before[name][16:]
        else:
            old = before[name]
        assert not torch.equal(value, old), name


@pytest.mark.parametrize("attention", MODES)
def test_the_paper_s_head_is_the_one_of_version_0_1_0(attention: Any) -> None:
    """Names, shapes and outputs of a state dict that has no form."""
    torch.manual_seed(0)
    head = TransformerProjectionHead(12, 16, 16, num_layers=1, form="paper", attention=attention)
    scale = {"blocks.0.attention.cosine_scale"} if attention == "tied" else set()
    assert set(head.state_dict()) == scale | {
        *("input.weight", "input.bias", "blocks.0.attention.to_qkv.weight"),
        *(f"blocks.0.attention.to_out.{name}" for name in ("weight", "bias")),
        *(f"blocks.0.attention_norm.{name}" for name in ("weight", "bias")),
        *(f"blocks.0.mlp.{layer}.{name}" for layer in (0, 3) for name in ("weight", "bias")),
        *(f"blocks.0.mlp_norm.{name}" for name in ("weight", "bias")),
    }
    assert head.blocks[0].residual_scale == 1
    assert not head.blocks[0].norm_first
    x = features(6, 12)
    tokens = F.linear(x, head.input.weight, head.input.bias)[None]
    block: Any = head.blocks[0]
    tokens = block.attention_norm(tokens + block.attention(tokens))
    assert torch.equal(head(x), block.mlp_norm(tokens + block.mlp(tokens))[0])


def test_names_say_the_form() -> None:
    forms = {
        name: build_head(name, 12).form
        for name in ("transformer", "transformer-self", "transformer-stable-tied-large")
    }
    assert forms == {
        "transformer": "paper",
        "transformer-self": "paper",
        "transformer-stable-tied-large": "stable",
    }
    assert TransformerProjectionHead().form == "stable"
    assert TransformerProjectionHead.small(12).form == "paper"
    assert TransformerProjectionHead.large(12, form="stable").form == "stable"
    controls = [build_head(f"transformer-stable{mode}", 12) for mode in ("", "-self", "-uniform")]
    for control in controls[1:]:
        control.load_state_dict(controls[0].state_dict())


@pytest.mark.parametrize("attention", MODES)
@pytest.mark.parametrize("input_norm", ["batch", "layer", None])
def test_permuting_the_batch_permutes_the_output(attention: Any, input_norm: Any) -> None:
    head = tiny_head(attention=attention, input_norm=input_norm).double()
    nn.init.normal_(head.get_parameter("blocks.0.attention.to_out.weight"))
    x = features(11, 12).double()
    order = torch.randperm(11, generator=torch.Generator().manual_seed(3))
    torch.testing.assert_close(head(x[order]), head(x)[order], atol=1e-12, rtol=0)


def test_statistics_are_those_of_one_sequence() -> None:
    head = tiny_head()
    one_by_one = copy.deepcopy(head)
    x = features(2, 6, 12) * torch.tensor([1.0, 5.0])[:, None, None]
    torch.testing.assert_close(head(x), torch.stack([one_by_one(x[0]), one_by_one(x[1])]))
    for name, buffer in head.named_buffers():
        torch.testing.assert_close(buffer, one_by_one.get_buffer(name))
    head.eval()
    one_by_one.eval()
    torch.testing.assert_close(head(x), torch.stack([one_by_one(x[0]), one_by_one(x[1])]))


def test_input_norm_batch_is_the_stable_form_s_and_takes_scale_and_offset_away() -> None:
    assert tiny_head(form="paper").input_norm is None
    head, x = tiny_head(), features(9, 12)
    assert head.input_norm == "batch"
    torch.testing.assert_close(head(7 * x + 3), head(x), atol=1e-4, rtol=0)


def test_input_norm_layer_takes_each_sample_s_scale_away() -> None:
    head, x = tiny_head(input_norm="layer"), features(9, 12)
    torch.testing.assert_close(head(x * torch.arange(1, 10)[:, None]), head(x), atol=1e-3, rtol=0)


@pytest.mark.parametrize(
    "options", [{}, {"input_norm": None}, {"form": "paper", "input_norm": "batch"}]
)
def test_a_batch_of_one_is_refused_in_training_only(options: dict[str, Any]) -> None:
    head, x = tiny_head(**options), features(1, 12)
    with pytest.raises(ValueError, match=r'batch of 1 sample; use at least 2, eval\(\), .*"paper"'):
        head(x)
    with pytest.raises(ValueError, match="batch of 1 sample"):
        head(features(3, 1, 12))
    assert head.eval()(x).isfinite().all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"form": "vit"}, "form='vit' is not known; choose one of 'stable', 'paper'"),
        ({"input_norm": "group"}, "input_norm='group' is not known; choose one of 'batch'"),
        ({"residual_scale": 0.0}, "residual_scale=0.0 must be above 0 and finite"),
        ({"residual_scale": math.nan}, "residual_scale=nan must be"),
        ({"residual_scale": math.inf}, "residual_scale=inf must be"),
        ({"mlp_ratio": math.nan}, "mlp_ratio=nan times hidden_dim=16"),
        ({"mlp_ratio": math.inf}, "mlp_ratio=inf times hidden_dim=16"),
        ({"dropout": math.nan}, "dropout=nan must be at least 0 and below 1"),
    ],
)
def test_bad_options_get_one_clear_sentence(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tiny_head(**options)


@pytest.mark.parametrize("learning_rate", [0.3, 1.0])
def test_it_lives_where_the_paper_s_form_collapses(learning_rate: float) -> None:
    """SGD without clipping or warmup on features with a large common part, as after a ReLU."""
    loss = ChunkedNTXentLoss(0.2)
    last = {}
    for form in ("stable", "paper"):
        torch.manual_seed(0)
        head = TransformerProjectionHead(64, 128, 128, form=form)
        backbone = nn.Sequential(nn.Linear(32, 64), nn.ReLU())
        optimizer = torch.optim.SGD(
            [*backbone.parameters(), *head.parameters()], lr=learning_rate, momentum=0.9
        )
        for _ in range(40):
            x = torch.randn(64, 32)
            z = head(backbone(torch.stack([x, x + 0.1 * torch.randn(64, 32)])))
            value = loss(z[0], z[1])
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
        last[form] = value.item()
    assert last["paper"] == pytest.approx(math.log(127), abs=0.02)
    assert last["stable"] < math.log(127) - 0.5


def test_no_parameter_name_holds_a_word_that_solo_learn_filters_by() -> None:
    for form, norm in (("stable", "batch"), ("paper", "layer")):
        for name in tiny_head(form=form, input_norm=norm).state_dict():
            assert "encoder" not in name
            assert "backbone" not in name

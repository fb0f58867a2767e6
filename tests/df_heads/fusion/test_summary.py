import json
import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from df_heads import FeedForwardProjectionHead, TransformerProjectionHead
from df_heads.evaluation import extract_features
from df_heads.fusion import (
    FusionSummary,
    NonFiniteError,
    attention_entropy,
    measure_fusion,
    neighbor_purity,
    record_attention,
    same_class_mass,
    sharpness,
    silhouette,
)

N = 12
LABELS = torch.tensor([0, 1, 2, 0, 1, 2, 0, 0, 1, 1, 0, 2])
# Each token's other view, of its own class.
PAIRS = torch.tensor([3, 4, 5, 0, 1, 2, 7, 6, 9, 8, 0, 2])


def tiny_head(**options: Any) -> TransformerProjectionHead:
    torch.manual_seed(0)
    options = {"num_layers": 3, "num_heads": 2, "head_dim": 4, **options}
    return TransformerProjectionHead(6, 8, 8, **options)


def features(*shape: int) -> Tensor:
    x = torch.randn(*(shape or (N, 6)), generator=torch.Generator().manual_seed(1))
    return x + LABELS[: x.shape[-2], None]


def all_hooks(model: nn.Module) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())


@pytest.mark.parametrize("norm_first", [False, True])
@pytest.mark.parametrize("pairs", [None, PAIRS])
@pytest.mark.parametrize("sequences", [0, 2])
def test_it_equals_the_single_measures_on_recorded_maps(
    sequences: int, pairs: Tensor | None, norm_first: bool
) -> None:
    head = tiny_head(norm_first=norm_first).eval()
    x = features(sequences, N, 6) if sequences else features()
    outputs: list[Tensor] = []
    for module in (head.input, *head.blocks):
        module.register_forward_hook(lambda _m, _args, out: outputs.append(out.detach()))
    with record_attention(head) as maps:
        head(x)
    tokens = list(outputs)

    summary = measure_fusion(head, x, LABELS, pairs=pairs)

    def averaged(measure: Any, which: Tensor) -> Any:
        return pytest.approx(sum(measure(t, LABELS) for t in which) / len(which), abs=1e-6)

    def near(per_sequence: Tensor) -> Any:
        return pytest.approx(per_sequence.mean(0).tolist(), rel=1e-5)

    assert (summary.tokens, summary.classes, len(summary.layers)) == (N, 3, 3)
    assert summary.input_silhouette == averaged(silhouette, tokens[0])
    assert summary.input_neighbor_purity == averaged(neighbor_purity, tokens[0])
    for i, layer in enumerate(summary.layers):
        mass = same_class_mass(maps[i], LABELS, pairs)
        assert layer.same_class_mass == near(mass.others)
        assert layer.own_mass == near(mass.own)
        assert layer.pair_mass == (None if mass.pair is None else near(mass.pair))
        assert summary.chance == pytest.approx(mass.chance)
        assert layer.sharpness == near(sharpness(maps[i], LABELS))
        assert layer.sharpness_quantile == near(sharpness(maps[i], LABELS, 0.05))
        assert layer.entropy == near(attention_entropy(maps[i]))
        assert layer.silhouette == averaged(silhouette, tokens[i + 1])
        assert layer.neighbor_purity == averaged(neighbor_purity, tokens[i + 1])


def test_a_head_that_attends_within_classes() -> None:
    head = TransformerProjectionHead(
        3, 3, 3, num_layers=1, num_heads=1, head_dim=3, attention="tied"
    ).double()
    with torch.no_grad():
        head.input.weight.copy_(torch.eye(3))
        head.input.bias.zero_()
        head.get_parameter("blocks.0.attention.to_qkv.weight").copy_(torch.eye(3).repeat(2, 1))
    summary = measure_fusion(head, nn.functional.one_hot(LABELS).double(), LABELS)
    # Cosines 1 and 0 at scale 10: e^10 within a class over 1 across.
    layer = summary.layers[0]
    assert layer.same_class_mass[0] == pytest.approx(1, abs=1e-3)
    assert layer.sharpness[0] is not None
    assert layer.sharpness[0] > math.exp(9)
    assert summary.chance == pytest.approx((5 * 4 + 4 * 3 + 3 * 2) / N / (N - 1))
    assert summary.input_silhouette == 1
    assert summary.input_neighbor_purity == 1

    with torch.no_grad():
        head.get_parameter("blocks.0.attention.cosine_scale").fill_(1000)
    ideal = measure_fusion(head, nn.functional.one_hot(LABELS).double(), LABELS)
    assert ideal.layers[0].sharpness == [math.inf]
    text = json.dumps(ideal.as_dict(), allow_nan=False)
    assert json.loads(text)["layers"][0]["sharpness"] == ["inf"]
    assert FusionSummary.from_dict(json.loads(text)) == ideal


def test_uniform_attention_is_at_chance_and_self_has_nothing_to_show() -> None:
    uniform = measure_fusion(tiny_head(attention="uniform"), features(), LABELS)
    for layer in uniform.layers:
        assert layer.same_class_mass == pytest.approx([uniform.chance] * 2)
        assert layer.sharpness == pytest.approx([1, 1])
        assert layer.entropy == pytest.approx([math.log(N)] * 2)
    alone = measure_fusion(tiny_head(attention="self"), features(), LABELS)
    for layer in alone.layers:
        assert layer.same_class_mass == layer.sharpness == [None, None]
        assert layer.own_mass == [1, 1]
    text = json.dumps(alone.as_dict(), allow_nan=False)
    assert FusionSummary.from_dict(json.loads(text)) == alone


class Model(nn.Module):
    """A backbone, a head and a frozen teacher of it."""

    def __init__(self, runs: int = 1, returns: int = 6, **options: Any) -> None:
        super().__init__()
        self.returns = returns
        self.backbone = nn.Sequential(nn.Linear(6, 6), nn.BatchNorm1d(6), nn.Dropout(0.5))
        self.head: Any = tiny_head(dropout=0.3, **options)
        self.teacher = tiny_head(**options).requires_grad_(False)
        self.runs = runs

    def forward(self, x: Tensor) -> Tensor:
        h = self.backbone(x)
        for _ in range(self.runs):
            self.head(h)
        self.teacher(h)
        return h[:, : self.returns, None, None]


def test_a_model_around_the_head_is_left_as_it_was() -> None:
    model = Model().train()
    model.head.blocks[1].eval()
    flags = [m.training for m in model.modules()]
    state = {k: v.clone() for k, v in model.state_dict().items()}
    random_state = torch.random.get_rng_state()

    whole = measure_fusion(model, features(), LABELS)
    assert torch.equal(torch.random.get_rng_state(), random_state)
    assert [m.training for m in model.modules()] == flags
    assert all(torch.equal(v, state[k]) for k, v in model.state_dict().items())
    assert all_hooks(model) == 0
    assert all(p.grad is None for p in model.parameters())

    apart = extract_features(model.backbone, [features()])
    assert measure_fusion(model.head, apart, LABELS) == whole
    assert whole == measure_fusion(model, features(), LABELS)
    # Without gradients anywhere, the one head there is still counts.
    frozen = tiny_head().requires_grad_(False)
    assert measure_fusion(frozen, features(), LABELS) == measure_fusion(
        tiny_head(), features(), LABELS
    )


def test_a_forward_that_stops_at_the_features_is_carried_on() -> None:
    model = Model()
    whole = measure_fusion(model, features(), LABELS)
    model.runs = 0
    assert measure_fusion(model, features(), LABELS) == whole


def test_it_prints_as_a_table() -> None:
    lines = str(measure_fusion(tiny_head(attention="uniform"), features(), LABELS)).splitlines()
    assert lines[0] == "Fusion of 12 tokens of 3 classes, means over heads"
    headings = [part.strip() for part in lines[1].split("  ") if part]
    assert headings == [
        "layer", "same class", "own", "sharpness", "5 %", "entropy", "silhouette", "purity",
    ]  # fmt: skip
    assert [line.split()[0] for line in lines[2:]] == ["input", "1", "2", "3", "uniform"]
    # Uniform attention is what the last line says of it.
    assert lines[3].split()[1:6] == lines[-1].split()[1:6]
    assert max(map(len, lines)) < 80
    alone = str(measure_fusion(tiny_head(attention="self"), features(), LABELS, pairs=PAIRS))
    assert alone.splitlines()[3].split()[1:6] == ["-", "1", "0", "-", "-"]


@pytest.mark.filterwarnings("ignore:Graph break due to:UserWarning")  # torch 2.5
@pytest.mark.parametrize(
    "what",
    [
        pytest.param(
            "model",
            marks=pytest.mark.skipif(
                torch.__version__.startswith("2.5."),
                reason="torch 2.5 cannot compile a whole model with hooks in it",
            ),
        ),
        "inside",
        "in place",
    ],
)
def test_compiled_heads_give_the_same(what: str) -> None:
    model = Model(num_layers=1).eval()
    expected = measure_fusion(model, features(), LABELS)
    compiled: Any = model
    if what == "model":
        compiled = torch.compile(model, backend="eager")
    elif what == "inside":
        model.head = torch.compile(model.head, backend="eager")
    else:
        model.head.compile(backend="eager")
    with torch.no_grad():
        compiled(features())
    assert measure_fusion(compiled, features(), LABELS) == expected
    assert all_hooks(model) == 0


def test_a_gathering_head_waits_for_no_other_process() -> None:
    class Gathering(TransformerProjectionHead):
        def forward(self, x: Tensor, attn_mask: Tensor | None = None) -> Tensor:
            assert not self.gather_distributed
            return super().forward(x, attn_mask)

    torch.manual_seed(0)
    head = Gathering(6, 8, 8, num_layers=3, num_heads=2, head_dim=4)
    head.gather_distributed = True
    assert measure_fusion(head, features(), LABELS) == measure_fusion(
        tiny_head(), features(), LABELS
    )
    assert head.gather_distributed


def test_autocast_does_not_reach_the_measures() -> None:
    head = tiny_head(attention="uniform")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        summary = measure_fusion(head, features(), LABELS)
    assert summary.chance == measure_fusion(head, features(), LABELS).chance
    for layer in summary.layers:
        assert layer.same_class_mass == pytest.approx([summary.chance] * 2, rel=1e-6)


def test_values_that_are_not_finite_are_named() -> None:
    head = tiny_head()
    x = features()
    x[0] = torch.nan
    with pytest.raises(NonFiniteError, match="the head's input layer holds 8 values that are not"):
        measure_fusion(head, x, LABELS)
    with torch.no_grad():
        head.get_parameter("blocks.1.attention.to_qkv.weight").fill_(torch.inf)
    with pytest.raises(NonFiniteError, match="layer 1's attention holds .* not finite"):
        measure_fusion(head, features(), LABELS)
    assert all_hooks(head) == 0
    assert head.training


@pytest.mark.parametrize(
    ("model", "labels", "options", "message"),
    [
        (tiny_head(), LABELS[:5], {}, "labels has 5 entries but x has 12 rows"),
        (tiny_head(), LABELS * 0, {}, r"labels holds 1 class\(es\) but at least 2 are needed"),
        (
            tiny_head(),
            torch.tensor([0] * 6 + [1] * 5 + [2]),
            {},
            r"class 2 has 1 sample\(s\) but each class needs at least 2",
        ),
        (
            tiny_head(),
            torch.tensor([0] * 6 + [1] * 4 + [2] * 2),
            {"pairs": PAIRS},
            r"class 2 has 2 sample\(s\) but each class needs at least 3",
        ),
        # 2 heads x 12 x 12 x 4 bytes = 1152 bytes; 1e-6 GiB are 1073.
        (
            tiny_head(),
            LABELS,
            {"max_gib": 1e-6},
            "2 heads over 1 x 12 tokens would take 1.07e-06 GiB per layer, more than max_gib=1e-06;"
            " pass a subset of 11 samples or fewer",
        ),
        (
            tiny_head(sequence_length=5),
            LABELS,
            {},
            "x has 12 samples but sequence_length=5 cuts them .* pass 5 samples or fewer",
        ),
        (FeedForwardProjectionHead(6, 8, 8), LABELS, {}, "holds 0 Transformer projection heads"),
        (nn.ModuleList([tiny_head(), tiny_head()]), LABELS, {}, "ModuleList holds 2 Transformer"),
        (
            Model(runs=0, returns=5),
            LABELS,
            {},
            r"forward of Model ran its projection head 0 times and returned a tensor of shape "
            r"\(12, 5, 1, 1\), not features \(N, 6\) for it",
        ),
        (Model(runs=2), LABELS, {}, "forward of Model ran its projection head more than once"),
    ],
)
def test_bad_input_gets_one_clear_sentence(
    model: nn.Module, labels: Tensor, options: Any, message: str
) -> None:
    with pytest.raises(ValueError, match=message) as error:
        measure_fusion(model, features(), labels, **options)
    assert "\n" not in str(error.value)
    assert all_hooks(model) == 0
    assert all(module.training for module in model.modules())


def test_a_batch_that_fits_into_one_sequence_is_measured_as_without_a_limit() -> None:
    limited, free = tiny_head(sequence_length=N), tiny_head()
    assert measure_fusion(limited, features(), LABELS) == measure_fusion(free, features(), LABELS)

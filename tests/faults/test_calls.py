"""Calls of the library with what it cannot use: one sentence that names it, at once."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightly.models.zoo import ZOO
from torch import Tensor, nn

from df_heads import FeedForwardProjectionHead, TransformerProjectionHead, build_head
from df_heads.augment import SimCLRAugment
from df_heads.collapse import effective_rank, mean_cosine, measure_collapse, normalized_std
from df_heads.evaluation import (
    extract_features,
    knn_accuracy,
    linear_probe_accuracy,
    nearest_neighbor_accuracy,
    stratified_subset,
)
from df_heads.fusion import measure_fusion
from df_heads.integrations.backbones import build_backbone
from df_heads.integrations.barlowtwins import BarlowTwins
from df_heads.integrations.byol import BYOL
from df_heads.integrations.callbacks.collapse_monitor import CollapseMonitor
from df_heads.integrations.callbacks.fusion_monitor import FusionMonitor
from df_heads.integrations.dino import DINO
from df_heads.integrations.files.torch_files import write_torch
from df_heads.integrations.lightly import load_checkpoint, replace_projection_head, save_checkpoint
from df_heads.integrations.moco import MoCo
from df_heads.integrations.nnclr import NNCLR
from df_heads.integrations.simclr import SimCLR
from df_heads.integrations.simsiam import SimSiam
from df_heads.integrations.supcon import SupCon
from df_heads.integrations.vicreg import VICReg
from df_heads.nt_xent import ChunkedNTXentLoss

pytestmark = pytest.mark.usefixtures("in_time")

NAN, INF = math.nan, math.inf
FEATURES, LABELS = torch.randn(8, 16), torch.arange(8) % 2
IMAGES = torch.randn(8, 3, 16, 16)
SMALL: dict[str, Any] = {
    **{"input_dim": 16, "hidden_dim": 8, "output_dim": 8},
    **{"num_layers": 1, "num_heads": 2, "head_dim": 4},
}
NO_COUNT = (0, -1, 1.5, NAN, "x", None, True)
NO_RATE = (0, -1, NAN, INF, "x", None)
NO_SHARE = (-1, 1, 2, NAN, "x", None)

#: What is built -> argument -> values that it cannot have.
ARGUMENTS: dict[Callable[..., Any], dict[str, tuple[Any, ...]]] = {
    TransformerProjectionHead: {
        **dict.fromkeys(("input_dim", "hidden_dim", "num_layers", "num_heads"), NO_COUNT),
        "head_dim": NO_COUNT,
        "mlp_ratio": (NAN, INF, 0, -1, 1e-9, "x", None),
        "dropout": NO_SHARE,
        "form": ("x", None, 3),
        "norm_first": ("no", 3, NAN),
        "residual_scale": (NAN, 0, -1, INF, "x"),
        "input_norm": ("x", 3),
        "sequence_length": (0, -1, 1.5, NAN, "x"),
        "attention": ("x", None),
        "gather_distributed": ("no", None),
    },
    FeedForwardProjectionHead: {
        **dict.fromkeys(("input_dim", "hidden_dim", "output_dim", "num_layers"), NO_COUNT),
        "batch_norm": ("no", None),
    },
    ChunkedNTXentLoss: {"temperature": NO_RATE, "chunk_size": NO_COUNT},
    CollapseMonitor: {"on_collapse": ("x", None, 3)},
    FusionMonitor: {
        **dict.fromkeys(("every_n_epochs", "num_samples"), NO_COUNT),
        "max_gib": NO_RATE,
        "head": (3,),
        "features": (3,),
        "images": (IMAGES,),  # without labels
        "labels": (LABELS,),  # without images
    },
    build_backbone: {"name": ("", "nosuch", "../x", "a/b", None, 3), "image_size": NO_COUNT},
    build_head: {"name": ("", "nosuch", None, 3)},
    SimCLRAugment: {
        "image_size": NO_COUNT,
        "min_scale": (0, -1, 2, NAN, "x"),
        "cj_strength": (-1, NAN, INF, "x"),
        **dict.fromkeys(("hf_prob", "gaussian_blur", "rr_prob"), (-1, 2, NAN)),
        "rr_degrees": (NAN, INF, (0.0, NAN)),
        "std": ((1.0, 1.0, 0.0),),
        "mean": ((0.0, NAN, 0.0),),
    },
}
GIVEN: dict[Callable[..., Any], dict[str, Any]] = {
    TransformerProjectionHead: SMALL,
    build_backbone: {"name": "test_resnet", "image_size": 16},
    build_head: {"input_dim": 16},
}
SHARED: dict[str, tuple[Any, ...]] = {
    "head": (None, 3, "nosuch", ""),
    "backbone": (None, 3, "nosuch", ""),
    "image_size": (0, -1, NAN, "x"),
    "momentum": (2, NAN, -1, "x"),
    "learning_rate": NO_RATE,
    "weight_decay": (-1, NAN, INF, "x"),
    "warmup_fraction": NO_SHARE,
    "gradient_clip": (0, -1, NAN, INF, "x"),
    "views": ("x", None),
    "stem": ("x", None),
    "head_options": ({"num_layers": 0}, {"nosuch": 1}, {"dropout": NAN}, {"mlp_ratio": NAN}),
}
OWN: dict[type[nn.Module], dict[str, tuple[Any, ...]]] = {
    SimCLR: {"temperature": NO_RATE, "loss_chunk_size": (0, -1, 1.5, NAN), "streams": (0, 3, "x")},
    MoCo: {"temperature": NO_RATE, "queue_size": (*NO_COUNT, 3), "teacher_momentum": (-1, 2, NAN)},
    BYOL: {"teacher_momentum": (-1, 2, NAN, "x")},
    BarlowTwins: {"lambda_param": (-1, NAN, "x")},
    SimSiam: {"prediction_hidden_dim": NO_COUNT},
    NNCLR: {
        **{"temperature": NO_RATE, "queue_size": (*NO_COUNT, 1)},
        "prediction_hidden_dim": NO_COUNT,
    },
    SupCon: {"temperature": NO_RATE},
    DINO: {
        **{"num_prototypes": NO_COUNT, "student_temp": NO_RATE, "teacher_temp": NO_RATE},
        **{"center_momentum": NO_SHARE, "freeze_last_layer": (-1, 1.5, NAN, "x", None, True)},
    },
    VICReg: {"lambda_param": (-1, NAN, "x"), "mu_param": (INF,), "nu_param": (-1,)},
}
for _method, _own in OWN.items():
    # Those that all share are checked in one place.
    ARGUMENTS[_method] = {**(SHARED if _method is SimCLR else {}), **_own}
    GIVEN[_method] = {"backbone": "test_resnet", "image_size": 16}


def in_words(value: Any) -> str:
    """The same in every process, as pytest-xdist compares names: a tensor's numbers are drawn."""
    return type(value).__name__ if isinstance(value, torch.Tensor) else str(value)


CASES = [
    pytest.param(build, name, value, id=f"{build.__name__}-{name}-{in_words(value)}")
    for build, arguments in ARGUMENTS.items()
    for name, values in arguments.items()
    for value in values
]
#: Python's own words for what nobody looked at.
UNSEEN = ("not supported between", "unsupported operand", "has no attribute", "not iterable")


def is_clear(error: BaseException) -> bool:
    said = str(error)
    return len(said) > 20 and not any(words in said for words in UNSEEN)


@pytest.mark.parametrize(("build", "name", "value"), CASES)
def test_bad_arguments(build: Callable[..., Any], name: str, value: Any) -> None:
    with pytest.raises((TypeError, ValueError)) as refused:
        build(**{**GIVEN.get(build, {}), name: value})
    assert is_clear(refused.value), refused.value


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"head": None}, "head=None must be a name or a module"),
        ({"backbone": 18}, "backbone=18 must be a name or a module"),
        ({"image_size": 0}, "image_size=0 must be a whole number of at least 1"),
        ({"momentum": 2.0}, "momentum=2.0 must be at least 0 and below 1"),
        ({"momentum": float("nan")}, "momentum=nan must be"),
        ({"weight_decay": -1.0}, "weight_decay=-1.0 must be at least 0"),
        ({"weight_decay": float("nan")}, "weight_decay=nan must be"),
    ],
)
def test_arguments_of_a_method(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises((TypeError, ValueError), match=sentence):
        SimCLR(**{"backbone": "test_resnet", **options})


def head(kind: str = "transformer", **options: Any) -> nn.Module:
    if kind == "feedforward":
        return FeedForwardProjectionHead(16, 8, 8, num_layers=2)
    return TransformerProjectionHead(**{**SMALL, **options})


BROKEN = FEATURES.clone()
BROKEN[0, 0] = NAN
NO_FEATURES = {
    **{"float64": FEATURES.double(), "half": FEATURES.half(), "whole": FEATURES.long()},
    **{"complex": FEATURES.to(torch.complex64), "sparse": FEATURES.to_sparse()},
    **{"a vector": FEATURES[0], "four axes": FEATURES[None, None], "empty": FEATURES[:0]},
    **{"narrow": FEATURES[:, :5], "nothing": None, "a list": FEATURES.tolist()},
    "numpy": FEATURES.numpy(),
}
NO_MASK = {
    "fractions": torch.ones(8, 8),
    "wide": torch.ones(8, 9, dtype=torch.bool),
    "a vector": torch.ones(8, dtype=torch.bool),
    "a list": [[True] * 8] * 8,
}
NO_OUTPUTS = {
    **{"one": FEATURES[:1], "a vector": FEATURES[0], "whole": FEATURES.long(), "nothing": None},
    **{"a list": FEATURES.tolist(), "empty": FEATURES[:0], "no width": FEATURES[:, :0]},
}
NO_LABELLED = {
    "not finite": (BROKEN, LABELS),
    "no images": (FEATURES[:0], LABELS[:0]),
    "fewer labels": (FEATURES, LABELS[:3]),
    "fractions as labels": (FEATURES, LABELS.float()),
    "truths as labels": (FEATURES, LABELS.bool()),
    "a list": (FEATURES.tolist(), LABELS),
    "numpy": (FEATURES.numpy(), LABELS),
    "a vector": (FEATURES[0], LABELS),
    "whole": (FEATURES.long(), LABELS),
    "no width": (FEATURES[:, :0], LABELS),
}
NO_BATCHES: dict[str, list[Any]] = {
    **{"none": [], "nothing": [None], "words": ["x"], "a dict": [{"images": IMAGES}]}
}
VIEW = torch.randn(1, 3, 16, 16)


class Twins(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x, x


def call(function: Any, *arguments: Any, **options: Any) -> Callable[[], Any]:
    return lambda: function(*arguments, **options)


def step(method: Any, *views: Tensor) -> Callable[[], Any]:
    return lambda: method("test_resnet", image_size=16).training_step((list(views), 0), 0)


LABELLED = FEATURES, LABELS
CALLS: dict[str, Callable[[], Any]] = {
    **{
        f"{kind} of {name}": call(head(kind), x)
        for kind in ("transformer", "feedforward")
        for name, x in NO_FEATURES.items()
    },
    **{f"mask {name}": call(head(), FEATURES, attn_mask=mask) for name, mask in NO_MASK.items()},
    "BatchNorm of 1 sample": call(head(input_norm="batch"), FEATURES[:1]),
    "the stable form of 1 sample": call(head(form="stable"), FEATURES[:1]),
    "feedforward of 1 sample": call(head("feedforward"), FEATURES[:1]),
    **{
        f"{measure.__name__} of {name}": call(measure, z)
        for measure in (measure_collapse, normalized_std, mean_cosine, effective_rank)
        for name, z in NO_OUTPUTS.items()
    },
    "the rank of what is not finite": call(effective_rank, BROKEN),
    **{
        f"{score.__name__} {name}": call(score, *labelled, *rest)
        for score, rest in (
            (nearest_neighbor_accuracy, ()),
            (knn_accuracy, LABELLED),
            (linear_probe_accuracy, LABELLED),
        )
        for name, labelled in NO_LABELLED.items()
    },
    **{f"k={k}": call(knn_accuracy, *LABELLED, *LABELLED, k=k) for k in (*NO_COUNT, 9)},
    **{
        f"temperature={t}": call(knn_accuracy, *LABELLED, *LABELLED, k=3, temperature=t)
        for t in (0, -1, NAN, INF, "x")
    },
    **{
        f"fraction={part}": call(stratified_subset, LABELS, part, 0)
        for part in (0, -1, 1.5, NAN, INF, "x")
    },
    **{f"seed={s}": call(stratified_subset, LABELS, 0.5, s) for s in (1.5, "x", None)},
    **{
        f"batches {name}": call(extract_features, nn.Flatten(), batches)
        for name, batches in NO_BATCHES.items()
    },
    "two outputs": call(extract_features, Twins(), [IMAGES]),
    "an output that is a map": call(extract_features, nn.Identity(), [IMAGES]),
    "projections that are whole numbers": call(ChunkedNTXentLoss(), LABELS, LABELS),
    "no projections": call(ChunkedNTXentLoss(), None, FEATURES),
    "fewer projections": call(ChunkedNTXentLoss(), FEATURES, FEATURES[:3]),
    "an augmentation of a list": call(SimCLRAugment(16), [1, 2]),
    "an augmentation of one image": call(SimCLRAugment(16), IMAGES[0]),
    "an augmentation of gray images": call(SimCLRAugment(16), IMAGES[:, :1]),
    "fusion of another dtype": call(measure_fusion, head(), FEATURES.double(), LABELS),
    "fusion of nothing": call(measure_fusion, None, *LABELLED),
    "fusion of another head": call(measure_fusion, head("feedforward"), *LABELLED),
    "fusion of what is not finite": call(measure_fusion, head(), BROKEN, LABELS),
    "fusion of one class": call(measure_fusion, head(), FEATURES, 0 * LABELS),
    "fusion of single images": call(measure_fusion, head(), FEATURES, torch.arange(8)),
    **{
        f"fusion with max_gib={gib}": call(measure_fusion, head(), *LABELLED, max_gib=gib)
        for gib in (NAN, 0, -1, "x")
    },
    "images without their labels": call(FusionMonitor, IMAGES, LABELS[:3]),
    "images that are a list": call(FusionMonitor, [1], LABELS),
    "labels that are a list": call(FusionMonitor, IMAGES, [0, 1] * 4),
    **{f"{m.__name__} of one image": step(m, VIEW, VIEW) for m in OWN},
    "one view": step(SimCLR, IMAGES),
    "two views of other sizes": step(SimCLR, IMAGES, IMAGES[:3]),
    "a model without heads": call(replace_projection_head, nn.Linear(3, 3)),
    "a checkpoint that is not known": call(load_checkpoint, "resnet-18/x/d512/w1.0"),
}


@pytest.mark.parametrize("what", CALLS)
def test_bad_calls(what: str) -> None:
    with pytest.raises((TypeError, ValueError)) as refused:
        CALLS[what]()
    assert is_clear(refused.value), refused.value


def test_a_batch_norm_of_one_sample_names_the_way_out() -> None:
    with pytest.raises(ValueError, match="BatchNorm cannot train on .* 1 sample.*; use"):
        head(input_norm="batch")(FEATURES[:1])


def test_another_dtype_is_converted_by_autocast_and_by_to() -> None:
    for kind in ("transformer", "feedforward"):
        with torch.autocast("cpu"):
            assert head(kind)(FEATURES.bfloat16()).isfinite().all()
        assert head(kind).double()(FEATURES.double()).dtype == torch.float64


def test_what_is_not_finite_stays_so() -> None:
    """Nothing hides it: the loss is not finite either, which stops training."""
    for kind in ("transformer", "feedforward"):
        z = head(kind)(BROKEN)
        assert not z.isfinite().all()
        assert not ChunkedNTXentLoss()(z, z).isfinite()


ZOO_NAME = "test-resnet/simclr-transformer/d24/w1.0"


@pytest.fixture
def saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "model.pth"
    backbone = build_backbone("test_resnet", image_size=16)
    own = TransformerProjectionHead(**{**SMALL, "input_dim": backbone.num_features})
    save_checkpoint(file, backbone, own, backbone_name="test_resnet", image_size=16)
    monkeypatch.setitem(ZOO, ZOO_NAME, file.as_uri())
    load_checkpoint(ZOO_NAME)
    return file


def test_a_checkpoint_that_is_text(saved: Path) -> None:
    for text in ("hello", "", "PK\3\4"):
        saved.write_text(text)
        with pytest.raises(ValueError, match="cannot be read from .*; fetch it again"):
            load_checkpoint(ZOO_NAME)


def test_a_checkpoint_with_a_flipped_bit(saved: Path) -> None:
    content = bytearray(saved.read_bytes())
    content[len(content) // 2] ^= 1
    saved.write_bytes(content)
    with pytest.raises(ValueError, match="checksum .* is wrong.*; fetch it again"):
        load_checkpoint(ZOO_NAME)


WRONG: dict[str, Any] = {
    **{"format": "another 1", "backbone": None, "head": [], "backbone_state": 3},
    "head_state": {"input.weight": "x"},
}


@pytest.mark.parametrize("field", WRONG)
@pytest.mark.parametrize("kind", ["missing", "wrong"])
def test_a_checkpoint_with_wrong_fields(field: str, kind: str, saved: Path) -> None:
    content = torch.load(saved, weights_only=True)
    if kind == "missing":
        del content[field]
    else:
        content[field] = WRONG[field]
    write_torch(saved, content)
    with pytest.raises(ValueError, match="cannot be built|was not written by"):
        load_checkpoint(ZOO_NAME)

import copy
import importlib.util
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import lightly
import pytest
import torch
from lightly import loss as losses
from lightly.models import ZOO, modules
from lightly.models.modules import heads
from lightly.models.utils import deactivate_requires_grad, update_momentum
from torch import Tensor, nn

import df_heads
from df_heads import FeedForwardProjectionHead, TransformerProjectionHead
from df_heads.integrations import lightly as integration
from df_heads.integrations import lightly_heads
from df_heads.integrations.backbones import build_backbone
from df_heads.integrations.lightly import (
    Replacement,
    load_checkpoint,
    register,
    register_checkpoint,
    replace_projection_head,
    save_checkpoint,
    unregister,
)

NAMES = ("TransformerProjectionHead", "FeedForwardProjectionHead")
TINY: dict[str, Any] = {"hidden_dim": 8, "num_layers": 1, "num_heads": 2, "head_dim": 4}


def import_afresh() -> Any:
    assert integration.__file__
    spec = importlib.util.spec_from_file_location("fresh_copy", integration.__file__)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["fresh_copy"] = module
    try:
        spec.loader.exec_module(module)
    finally:
        del sys.modules["fresh_copy"]
    return module


class TestImport:
    def test_the_lightly_inside_is_the_real_one(self) -> None:
        assert vars(lightly_heads)["ProjectionHead"] is heads.ProjectionHead
        assert vars(integration)["lightly"] is lightly

    def test_it_changes_nothing_in_lightly(self) -> None:
        before = [dict(vars(modules)), dict(vars(heads)), dict(ZOO)]
        import_afresh()
        assert [dict(vars(modules)), dict(vars(heads)), dict(ZOO)] == before

    def test_a_missing_lightly_is_named_with_its_cure(self, monkeypatch: Any) -> None:
        monkeypatch.setitem(sys.modules, "lightly", None)
        with pytest.raises(ImportError, match="pip install 'lightly>=1.6,<2'"):
            import_afresh()

    @pytest.mark.parametrize("version", ["1.5.22", "2.0.0", "0.9", "unknown"])
    def test_an_unsupported_lightly_is_refused(self, version: str, monkeypatch: Any) -> None:
        monkeypatch.setattr(lightly, "__version__", version)
        with pytest.raises(ImportError, match=f">=1.6,<2, and {version} is installed"):
            import_afresh()

    @pytest.mark.parametrize("version", ["1.6.0", "1.6.1rc1", "1.10.0"])
    def test_later_versions_of_lightly_1_are_welcome(self, version: str, monkeypatch: Any) -> None:
        monkeypatch.setattr(lightly, "__version__", version)
        import_afresh()


class TestRegister:
    @pytest.fixture(autouse=True)
    def _unregistered(self) -> Iterator[None]:
        unregister()
        yield
        unregister()

    def test_it_is_idempotent_and_undone_by_unregister(self) -> None:
        before = [dict(vars(modules)), dict(vars(heads))]
        register()
        register()
        for place in (modules, heads):
            for name in NAMES:
                assert getattr(place, name) is getattr(df_heads, name)
        unregister()
        assert [dict(vars(modules)), dict(vars(heads))] == before
        unregister()

    @pytest.mark.parametrize("place", [modules, heads])
    def test_a_name_that_is_taken_is_an_error_and_changes_nothing(
        self, place: Any, monkeypatch: Any
    ) -> None:
        monkeypatch.setattr(place, NAMES[1], nn.Identity, raising=False)
        before = [dict(vars(modules)), dict(vars(heads))]
        with pytest.raises(RuntimeError, match=f"{place.__name__}.{NAMES[1]} already exists"):
            register()
        assert [dict(vars(modules)), dict(vars(heads))] == before

    def test_unregister_leaves_what_others_set(self, monkeypatch: Any) -> None:
        monkeypatch.setattr(heads, NAMES[0], TransformerProjectionHead, raising=False)
        register()
        monkeypatch.setattr(modules, NAMES[1], nn.Identity)
        unregister()
        assert getattr(heads, NAMES[0]) is TransformerProjectionHead
        assert getattr(modules, NAMES[1]) is nn.Identity
        assert not hasattr(modules, NAMES[0])
        assert not hasattr(heads, NAMES[1])


def tiny_backbone() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 16, 3), nn.BatchNorm2d(16), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )


class Model(nn.Module):
    """The attributes of lightly's examples, over a tiny backbone."""

    def __init__(
        self,
        projection_head: nn.Module,
        criterion: Callable[..., Tensor],
        *,
        prediction_head: nn.Module | None = None,
        momentum: bool = False,
        memory_bank: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.backbone = tiny_backbone()
        self.projection_head = projection_head
        if prediction_head is not None:
            self.prediction_head = prediction_head
        if momentum:
            self.backbone_momentum = copy.deepcopy(self.backbone)
            self.projection_head_momentum = copy.deepcopy(projection_head)
            deactivate_requires_grad(self.backbone_momentum)
            deactivate_requires_grad(self.projection_head_momentum)
        self.criterion = criterion
        self.memory_bank = memory_bank

    def targets(self, x: Tensor) -> Tensor:
        if hasattr(self, "projection_head_momentum"):
            target: Tensor = self.projection_head_momentum(self.backbone_momentum(x))
        else:
            target = self.projection_head(self.backbone(x))
        return target.detach()

    def loss(self, x0: Tensor, x1: Tensor) -> Tensor:
        z0, z1 = (self.projection_head(self.backbone(x)) for x in (x0, x1))
        if hasattr(self, "prediction_head"):
            t0, t1 = self.targets(x0), self.targets(x1)
            if self.memory_bank is not None:
                t0 = self.memory_bank(t0, update=False)
                t1 = self.memory_bank(t1, update=True)
            p0, p1 = self.prediction_head(z0), self.prediction_head(z1)
            return 0.5 * (self.criterion(t0, p1) + self.criterion(t1, p0))
        if hasattr(self, "projection_head_momentum"):
            z1 = self.targets(x1)
        return self.criterion(z0, z1)


EXAMPLES: dict[str, Callable[[], Model]] = {
    "simclr": lambda: Model(heads.SimCLRProjectionHead(16, 32, 32), losses.NTXentLoss()),
    "moco": lambda: Model(
        heads.MoCoProjectionHead(16, 16, 8),
        losses.NTXentLoss(memory_bank_size=(32, 8)),
        momentum=True,
    ),
    "byol": lambda: Model(
        heads.BYOLProjectionHead(16, 32, 12),
        losses.NegativeCosineSimilarity(),
        prediction_head=heads.BYOLPredictionHead(12, 32, 12),
        momentum=True,
    ),
    "simsiam": lambda: Model(
        heads.SimSiamProjectionHead(16, 16, 8),
        losses.NegativeCosineSimilarity(),
        prediction_head=heads.SimSiamPredictionHead(8, 4, 8),
    ),
    "barlowtwins": lambda: Model(
        heads.BarlowTwinsProjectionHead(16, 32, 32), losses.BarlowTwinsLoss()
    ),
    "vicreg": lambda: Model(
        heads.VICRegProjectionHead(16, 32, 32, num_layers=2), losses.VICRegLoss()
    ),
    "nnclr": lambda: Model(
        heads.NNCLRProjectionHead(16, 16, 8),
        losses.NTXentLoss(),
        prediction_head=heads.NNCLRPredictionHead(8, 16, 8),
        memory_bank=modules.NNMemoryBankModule(size=(32, 8)),
    ),
    "dcl": lambda: Model(heads.SimCLRProjectionHead(16, 32, 32), losses.DCLLoss()),
    "tico": lambda: Model(heads.TiCoProjectionHead(16, 32, 12), losses.TiCoLoss(), momentum=True),
}
MOMENTUM = ("moco", "byol", "tico")


def values(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in module.state_dict().items()}


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[k], second[k]) for k in first)


@pytest.mark.parametrize("name", EXAMPLES)
def test_each_model_of_lightlys_examples_trains_with_the_new_head(name: str) -> None:
    torch.manual_seed(0)
    model = EXAMPLES[name]()
    old = model.projection_head
    linear = [m for m in old.modules() if isinstance(m, nn.Linear)]
    done = replace_projection_head(model, **TINY)

    head = model.projection_head
    assert isinstance(head, TransformerProjectionHead)
    width = linear[-1].out_features
    assert (head.input_dim, head.output_dim, head.hidden_dim) == (16, width, 8)
    expected = [Replacement("projection_head", type(old).__name__, 16, width)]
    if name in MOMENTUM:
        expected.append(
            Replacement(
                "projection_head_momentum",
                type(old).__name__,
                16,
                width,
                copy_of="projection_head",
            )
        )
    assert done == expected
    if hasattr(model, "prediction_head"):
        assert isinstance(model.prediction_head, heads.ProjectionHead)

    teacher = model.projection_head_momentum if name in MOMENTUM else None
    before = values(head)
    if teacher is not None:
        assert teacher is not head
        assert same(values(teacher), before)
        assert not any(p.requires_grad for p in teacher.parameters())
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(4):  # the blocks start as the identity: inner layers move from the second on
        loss = model.loss(*torch.randn(2, 8, 3, 8, 8))
        assert loss.isfinite()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    for key, value in head.named_parameters():
        if value.dim() > 1:
            assert value.grad is not None
            assert value.grad.abs().sum() > 0, key
            assert not torch.equal(value, before[key]), key
    if teacher is not None:
        for key, value in teacher.named_parameters():
            assert torch.equal(value, before[key]), key
        update_momentum(head, teacher, m=0.5)
        for key, value in teacher.named_parameters():
            expected_value = (before[key] + head.get_parameter(key)) / 2
            torch.testing.assert_close(value, expected_value.detach())


def head_pair(**names: bool) -> nn.Module:
    """A module of MoCo heads by name; the value says whether a head is trained."""
    model = nn.Module()
    for name, trained in names.items():
        model.add_module(name, heads.MoCoProjectionHead(6, 7, 5).requires_grad_(trained))
    return model


class TestTeachers:
    @pytest.mark.parametrize(
        "name", ["head_momentum", "momentum_head", "head_ema", "teacher_head", "target_head"]
    )
    def test_a_name_makes_a_teacher(self, name: str) -> None:
        model = head_pair(other=True, head=True, **{name: True})
        done = {r.path: r.copy_of for r in replace_projection_head(model, **TINY)}
        assert done == {"other": None, "head": None, name: "head"}
        teacher, head = model.get_submodule(name), model.get_submodule("head")
        assert same(values(teacher), values(head))
        assert not same(values(model.get_submodule("other")), values(head))
        assert not any(p.requires_grad for p in teacher.parameters())
        assert all(p.requires_grad for p in head.parameters())

    def test_frozen_under_any_name_makes_a_teacher_even_before_its_student(self) -> None:
        model = head_pair(projection_head=False, anchor_head=True)
        done = {r.path: r.copy_of for r in replace_projection_head(model, **TINY)}
        assert done == {"projection_head": "anchor_head", "anchor_head": None}

    def test_a_mark_may_be_on_a_parent(self) -> None:
        model = nn.Module()
        model.encoder = head_pair(a=True, b=True)
        model.teacher_encoder = head_pair(a=False, b=False)
        done = {r.path: r.copy_of for r in replace_projection_head(model, **TINY)}
        assert done["teacher_encoder.a"] == "encoder.a"
        assert done["teacher_encoder.b"] == "encoder.b"

    def test_other_widths_or_classes_are_no_teachers(self) -> None:
        model = head_pair(head=True)
        model.head_ema = heads.MoCoProjectionHead(6, 7, 4)
        model.frozen = heads.BYOLProjectionHead(6, 7, 5).requires_grad_(False)
        assert [r.copy_of for r in replace_projection_head(model, **TINY)] == [None] * 3
        assert not any(p.requires_grad for p in model.frozen.parameters())
        assert all(p.requires_grad for p in model.head_ema.parameters())

    def test_two_possible_students_are_an_error(self) -> None:
        model = head_pair(a=True, b=True, frozen=False)
        with pytest.raises(ValueError, match="frozen is frozen and could be the teacher of a or b"):
            replace_projection_head(model)
        assert isinstance(model.a, heads.MoCoProjectionHead)

    def test_teachers_run_no_dropout(self) -> None:
        model = head_pair(head=True, head_ema=False)
        replace_projection_head(model, dropout=0.5, form="paper", **TINY)
        head, teacher = model.get_submodule("head"), model.get_submodule("head_ema")
        assert teacher.training
        x = torch.randn(9, 6)
        torch.testing.assert_close(teacher(x), teacher(x))
        torch.testing.assert_close(teacher(x), head.eval()(x))
        head.train()
        assert not torch.equal(head(x), head(x))


class TestReplace:
    def test_prediction_heads_only_when_asked(self) -> None:
        class Predictor(heads.BYOLPredictionHead):
            pass

        model = nn.Sequential(heads.BYOLProjectionHead(6, 7, 5), Predictor(5, 7, 4))
        assert [r.path for r in replace_projection_head(model, **TINY)] == ["0"]
        done = replace_projection_head(model, prediction_heads=True, **TINY)
        assert done == [Replacement("1", "Predictor", 5, 4)]
        assert model(torch.randn(3, 6)).shape == (3, 4)

    def test_a_shared_head_stays_shared(self) -> None:
        shared = heads.SimCLRProjectionHead(6, 7, 5)
        model = nn.ModuleDict({"a": shared, "b": nn.Sequential(shared), "c": nn.Identity()})
        done = replace_projection_head(model, **TINY)
        assert [(r.path, r.shared_with) for r in done] == [("a", None), ("b.0", "a")]
        assert isinstance(model["a"], TransformerProjectionHead)
        assert model["a"] is model.get_submodule("b.0")
        assert list(model) == ["a", "b", "c"]

    @pytest.mark.parametrize("training", [True, False])
    def test_device_dtype_and_mode_are_kept(self, training: bool) -> None:
        model = nn.ModuleList(
            [
                heads.SimCLRProjectionHead(6, 7, 5).double(),
                heads.SimCLRProjectionHead(6, 7, 5).to("meta"),
            ]
        ).train(training)
        replace_projection_head(model, **TINY)
        for head, dtype, device in zip(
            model, (torch.float64, torch.float32), ("cpu", "meta"), strict=True
        ):
            assert {(p.dtype, p.device.type) for p in head.parameters()} == {(dtype, device)}
            assert all(part.training is training for part in head.modules())

    def test_later_random_numbers_do_not_depend_on_it(self) -> None:
        torch.manual_seed(3)
        expected = torch.rand(4)
        model = head_pair(a=True, b=True)
        torch.manual_seed(3)
        replace_projection_head(model, **TINY)
        assert torch.equal(torch.rand(4), expected)
        assert not same(values(model.a), values(model.b))  # type: ignore[arg-type]

    def test_another_head_can_be_asked_for(self) -> None:
        model = nn.Sequential(heads.SimCLRProjectionHead(6, 7, 5))
        replace_projection_head(
            model, head=FeedForwardProjectionHead, hidden_dim=9, num_layers=2, batch_norm=False
        )
        head = model[0]
        assert isinstance(head, FeedForwardProjectionHead)
        assert (head.input_dim, head.hidden_dim, head.output_dim) == (6, 9, 5)

    def test_the_default_is_the_papers_small_width(self) -> None:
        model = nn.Sequential(heads.SimCLRProjectionHead(6, 7, 5))
        replace_projection_head(model)
        assert isinstance(model[0], TransformerProjectionHead)
        assert (model[0].hidden_dim, len(model[0].blocks)) == (128, 5)


class TestPaths:
    def test_heads_can_be_skipped(self) -> None:
        model = nn.ModuleDict(
            {
                "local": heads.VicRegLLocalProjectionHead(6, 7, 5),
                "b": heads.SimCLRProjectionHead(6, 7, 5),
            }
        )
        model["again"] = model["local"]
        assert [r.path for r in replace_projection_head(model, skip=["again"], **TINY)] == ["b"]
        assert isinstance(model["local"], heads.VicRegLLocalProjectionHead)
        with pytest.raises(
            ValueError, match=r"none was found but again, which skip leaves. Name a"
        ):
            replace_projection_head(model, skip=["again"])

    def test_named_modules_are_replaced_and_no_others(self) -> None:
        model = nn.Module()
        model.projector = nn.Sequential(
            nn.Linear(6, 9), nn.BatchNorm1d(9), nn.Sequential(nn.ReLU(), nn.Linear(9, 5))
        )
        model.projector_ema = copy.deepcopy(model.projector).requires_grad_(False)
        model.head = heads.SimCLRProjectionHead(6, 7, 5)
        done = replace_projection_head(model, paths=["projector", "projector_ema"], **TINY)
        assert [(r.path, r.old_class, r.input_dim, r.output_dim, r.copy_of) for r in done] == [
            ("projector", "Sequential", 6, 5, None),
            ("projector_ema", "Sequential", 6, 5, "projector"),
        ]
        assert model.projector(torch.randn(3, 6)).shape == (3, 5)
        assert isinstance(model.head, heads.SimCLRProjectionHead)

    def test_widths_can_be_given_for_any_module(self) -> None:
        model = nn.ModuleDict({"a": nn.Identity(), "b": OwnForward(6, 7, 5)})
        model["c"] = model["a"]
        done = replace_projection_head(model, paths={"a": (6, 6), "b": (6, 4)}, **TINY)
        assert [(r.path, r.input_dim, r.output_dim) for r in done] == [
            ("a", 6, 6),
            ("b", 6, 4),
            ("c", 6, 6),
        ]
        assert model["a"] is model["c"]
        assert all(p.requires_grad for p in model.parameters())
        assert model["b"](torch.randn(3, 6)).shape == (3, 4)

    @pytest.mark.parametrize(
        ("error", "message", "options"),
        [
            (TypeError, r"skip='a' must be several paths; write skip=\['a'\]", {"skip": "a"}),
            (ValueError, "paths names 'hed', which is .* Did you mean 'head'", {"paths": ["hed"]}),
            (ValueError, "paths names '', which is no module inside", {"paths": [""]}),
            (ValueError, "'head.0', which is part of 'head'; name", {"paths": ["head.0", "head"]}),
            (ValueError, r"gives 6 for head; give \(input_dim", {"paths": {"head": 6}}),
            (ValueError, r"not replaced: .* Pass skip=\['dino'\]", {"paths": {"dino": (6, 9)}}),
            (ValueError, r"Pass paths=\{'own': \(input_dim, output_dim\)\} if", {"paths": ["own"]}),
            (ValueError, "input_dim=0", {"paths": {"head": (0, 5)}}),
        ],
        ids=["word", "near", "itself", "inside", "number", "dino", "own", "zero"],
    )
    @pytest.mark.filterwarnings("ignore:.*weight_norm.*:FutureWarning")
    def test_bad_paths(self, error: type[Exception], message: str, options: Any) -> None:
        model = nn.ModuleDict(
            {
                "head": nn.Sequential(nn.Linear(6, 5)),
                "dino": heads.DINOProjectionHead(6, 7, 5, 9),
                "own": nn.Sequential(OwnForward(6, 7, 5)),
            }
        )
        before = dict(model)
        with pytest.raises(error, match=message):
            replace_projection_head(model, **options)
        assert dict(model) == before


class OwnForward(heads.SimCLRProjectionHead):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.mean(1))


def with_layers(*layers: nn.Module) -> nn.Module:
    head = heads.SimCLRProjectionHead(6, 7, 5)
    head.layers = nn.Sequential(*layers)
    return head


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: with_layers(nn.Conv2d(6, 6, 1), nn.Linear(6, 5)), "inferred: it has convolutions"),
        (lambda: with_layers(nn.ReLU()), "inferred: it has no nn.Linear"),
        (lambda: with_layers(nn.LazyLinear(5), nn.Linear(5, 5)), "inferred: its layers are lazy"),
        (lambda: heads.DINOProjectionHead(6, 7, 5, 9), "not replaced: its last layer holds"),
        (lambda: heads.DINOv2ProjectionHead(6, 7, 5, 9), "not replaced: its last layer holds"),
        (
            lambda: heads.DenseCLProjectionHead(6, 7, 5),
            "not replaced: it is applied to each location",
        ),
        (lambda: heads.VicRegLLocalProjectionHead(6, 7, 5), "not replaced: it is applied to each"),
        (lambda: heads.LeWMProjectionHead(6, 7, 5), "not replaced: its samples are frames"),
        (lambda: OwnForward(6, 7, 5), "not replaced: it has a forward"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*weight_norm.*:FutureWarning")
def test_a_head_that_cannot_be_replaced_leaves_the_model_as_it_was(
    build: Callable[[], nn.Module], message: str
) -> None:
    bad = build()
    good = heads.SimCLRProjectionHead(6, 7, 5)
    model = nn.ModuleDict({"good": good, "bad": bad})
    with pytest.raises(ValueError, match=rf"bad \({type(bad).__name__}\) .*{message}"):
        replace_projection_head(model)
    assert model["good"] is good
    assert model["bad"] is bad


def test_bad_options_leave_the_model_as_it_was() -> None:
    model = head_pair(a=True)
    with pytest.raises(ValueError, match="num_layers=0"):
        replace_projection_head(model, num_layers=0)
    assert isinstance(model.a, heads.MoCoProjectionHead)


def test_a_model_without_a_head_is_an_error_that_says_what_was_looked_for() -> None:
    model = nn.Sequential(tiny_backbone(), heads.BYOLPredictionHead(16, 8, 8))
    with pytest.raises(
        ValueError, match="Sequential has no projection head.*heads.ProjectionHead, heads other"
    ):
        replace_projection_head(model)
    with pytest.raises(ValueError, match="The model is itself a SimCLRProjectionHead"):
        replace_projection_head(heads.SimCLRProjectionHead(6, 7, 5))


NAME = "resnet-10/simclr-transformer/d512/w1.0"
BACKBONE: dict[str, Any] = {"backbone_name": "resnet10t", "image_size": 32}


@pytest.fixture
def _zoo_is_restored() -> Iterator[None]:
    before = dict(ZOO)
    yield
    ZOO.clear()
    ZOO.update(before)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, nn.Module, nn.Module]:
    backbone = build_backbone("resnet10t")
    head = TransformerProjectionHead(512, 8, 6, num_layers=1, num_heads=2, head_dim=4)
    path = tmp_path_factory.mktemp("zoo") / "a file.pth"
    save_checkpoint(path, backbone, head, **BACKBONE)
    return path, backbone, head


@pytest.mark.usefixtures("_zoo_is_restored")
class TestCheckpoints:
    def test_a_checkpoint_comes_back_from_the_zoo(self, saved: Any) -> None:
        path, backbone, head = saved
        url = register_checkpoint(NAME, path)
        assert url == path.as_uri()
        assert ZOO[NAME] == url
        assert register_checkpoint(NAME, url) == url
        state = torch.random.get_rng_state()
        loaded, loaded_head = load_checkpoint(NAME)
        assert torch.equal(torch.random.get_rng_state(), state)
        assert same(values(loaded), values(backbone))
        assert not loaded.training
        assert not loaded_head.training
        x = torch.randn(4, 512)
        torch.testing.assert_close(loaded_head(x), head.eval()(x))
        assert [p.name for p in path.parent.iterdir()] == [path.name]

    @pytest.mark.parametrize(
        "head",
        [
            TransformerProjectionHead(
                512,
                9,
                7,
                num_layers=2,
                num_heads=3,
                head_dim=5,
                mlp_ratio=1.3,
                dropout=0.25,
                norm_first=True,
                sequence_length=3,
                attention="tied",
            ),
            TransformerProjectionHead(
                512, 8, 8, num_layers=1, attention="uniform", form="paper", input_norm="layer"
            ),
            TransformerProjectionHead(512, 8, 6, num_layers=1, residual_scale=0.5),
            TransformerProjectionHead(512, 8, 6, num_layers=1, input_norm="batch"),
            FeedForwardProjectionHead(512, 8, 6, num_layers=3),
            FeedForwardProjectionHead(512, 8, 6, num_layers=1, batch_norm=False),
        ],
    )
    def test_every_option_of_a_head_comes_back(
        self, head: nn.Module, saved: Any, tmp_path: Path
    ) -> None:
        save_checkpoint(tmp_path / "x.pth", saved[1], head, **BACKBONE)
        register_checkpoint(NAME, tmp_path / "x.pth")
        loaded = load_checkpoint(NAME)[1]
        x = torch.randn(7, 512)
        torch.testing.assert_close(loaded(x), head.eval()(x))
        assert repr(loaded) == repr(head)

    def test_a_head_without_a_form_is_the_paper_s(self, saved: Any, tmp_path: Path) -> None:
        head = TransformerProjectionHead(512, 8, 6, num_layers=1, norm_first=True, form="paper")
        save_checkpoint(tmp_path / "x.pth", saved[1], head, **BACKBONE)
        content = torch.load(tmp_path / "x.pth", weights_only=True)
        for option in ("form", "residual_scale", "input_norm"):  # unknown to version 0.1.0
            del content["head"]["options"][option]
        torch.save(content, tmp_path / "x.pth")
        register_checkpoint(NAME, tmp_path / "x.pth")
        loaded = load_checkpoint(NAME)[1]
        assert loaded.form == "paper"
        torch.testing.assert_close(loaded(torch.ones(3, 512)), head.eval()(torch.ones(3, 512)))

    def test_a_url_is_downloaded_once_by_torch_hub(
        self, saved: Any, tmp_path: Path, monkeypatch: Any
    ) -> None:
        calls = []

        def download(url: str, file: str) -> None:
            calls.append((url, file))
            shutil.copy(saved[0], file)

        monkeypatch.setattr(torch.hub, "download_url_to_file", download)
        monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
        for name in (NAME, NAME.replace("w1.0", "w2.0")):
            register_checkpoint(name, f"https://example.org/{name[-1:]}{len(calls)}/best.pth")
            for _ in range(2):
                load_checkpoint(name)
        (url, first), (_, second) = calls
        assert url == ZOO[NAME]
        assert first != second

    @pytest.mark.parametrize(
        "name", ["best", "ResNet18/simclr/d16/w1.0", "resnet-18/simclr/16/w1.0", NAME + "/x", ""]
    )
    def test_a_name_of_another_style_is_refused(self, name: str, saved: Any) -> None:
        with pytest.raises(ValueError, match="not a name in lightly's style"):
            register_checkpoint(name, saved[0])
        assert name not in ZOO

    def test_bad_places_are_refused(self, saved: Any, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError, match="There is no file"):
            register_checkpoint(NAME, tmp_path / "none.pth")
        with pytest.raises(FileNotFoundError, match="There is no file"):
            register_checkpoint(NAME, (tmp_path / "none.pth").as_uri())
        with pytest.raises(ValueError, match="not an http, https or file URL"):
            register_checkpoint(NAME, "s3://bucket/best.pth")
        assert NAME not in ZOO
        with pytest.raises(ValueError, match="already has 'resnet-18/simclr/d16/w1.0'"):
            register_checkpoint("resnet-18/simclr/d16/w1.0", saved[0])

    def test_an_unknown_name_gets_a_suggestion(self, saved: Any) -> None:
        register_checkpoint(NAME, saved[0])
        with pytest.raises(ValueError, match=f"no checkpoint .* Did you mean '{NAME}'"):
            load_checkpoint(NAME + "0")

    def test_a_truncated_or_foreign_file_is_named(self, saved: Any, tmp_path: Path) -> None:
        path = tmp_path / "x.pth"
        whole = saved[0].read_bytes()
        path.write_bytes(whole)
        register_checkpoint(NAME, path)
        for content in (whole[: len(whole) // 2], whole[:1], b"", b"<html>not found</html>"):
            path.write_bytes(content)
            with pytest.raises(ValueError, match="truncated, damaged or not a checkpoint"):
                load_checkpoint(NAME)
        torch.save(nn.Linear(2, 2), path)
        with pytest.raises(ValueError, match="not a checkpoint of tensors and plain data"):
            load_checkpoint(NAME)
        torch.save({"state_dict": {}}, path)
        with pytest.raises(ValueError, match="not written by df_heads' save_checkpoint"):
            load_checkpoint(NAME)
        path.unlink()
        with pytest.raises(FileNotFoundError):
            load_checkpoint(NAME)

    def test_weights_of_another_architecture_are_named(self, saved: Any, tmp_path: Path) -> None:
        content = torch.load(saved[0], weights_only=True)
        path = tmp_path / "x.pth"

        def refusal() -> str:
            torch.save(content, path)
            register_checkpoint(NAME, path)
            with pytest.raises(ValueError, match="cannot be built: the weights are not") as error:
                load_checkpoint(NAME)
            return str(error.value)

        content["head_state"]["input.weight"] = torch.zeros(8, 5)
        content["head_state"]["extra"] = content["head_state"].pop("input.bias")
        assert "(missing: input.bias; unexpected: extra; of another shape: input.w" in refusal()
        content["backbone"]["name"] = "resnet18"
        message = refusal()
        assert "backbone 'resnet18' (missing: " in message
        assert " more" in message
        assert "\n" not in message

    def test_saving_what_could_not_be_loaded_is_refused(self, saved: Any, tmp_path: Path) -> None:
        _, backbone, head = saved
        path = tmp_path / "x.pth"
        with pytest.raises(ValueError, match="not those of the backbone 'resnet18'"):
            save_checkpoint(path, backbone, head, backbone_name="resnet18")
        with pytest.raises(ValueError, match="The head is a SimCLRProjectionHead"):
            save_checkpoint(path, backbone, heads.SimCLRProjectionHead(512, 8, 8), **BACKBONE)
        assert list(tmp_path.iterdir()) == []

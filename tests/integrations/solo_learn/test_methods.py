import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from df_heads import FeedForwardProjectionHead, TransformerProjectionHead
from df_heads.fusion import record_attention

with warnings.catch_warnings():
    # solo-learn 1.0.6 uses names that timm and torch have moved since.
    warnings.simplefilter("ignore")
    pytest.importorskip("solo.methods", reason="solo-learn is not installed", exc_type=ImportError)
    from lightning.pytorch import LightningModule, Trainer, seed_everything
    from omegaconf import OmegaConf
    from solo.methods import METHODS, BaseMethod, SimCLR
    from torch.utils.data import DataLoader, Dataset

    from df_heads.integrations.callbacks.collapse_monitor import CollapseMonitor
    from df_heads.integrations.callbacks.online_knn import OnlineKNN
    from df_heads.integrations.solo_learn import (
        METHOD_NAMES,
        load_backbone,
        register,
        unregister,
        with_head,
    )
    from df_heads.integrations.solo_learn.support import _require_supported

pytestmark = [
    pytest.mark.filterwarnings("ignore"),  # solo-learn and the Trainer it sets up
]

PAGE = (Path(__file__).parents[3] / "docs" / "solo-learn.md").read_text(encoding="utf-8")
SNIPPETS = re.findall(
    r"<!-- test: executed where solo-learn is installed -->\n```python\n(.*?)```", PAGE, re.S
)
SMALL_HEAD = {"hidden_dim": 16, "num_layers": 2, "num_heads": 2, "head_dim": 8}
BATCH = 8
WIDTH = 24  # of the projections


@pytest.fixture(autouse=True)
def _registered() -> Iterator[None]:
    register()
    yield
    unregister()


def config(method: str, *, head: Any = None, epochs: int = 1, dataset: str = "custom") -> Any:
    name = method.removesuffix("_tph")
    cfg = OmegaConf.create(
        {
            "name": "test",
            "method": method,
            "backbone": {"name": "resnet18", "kwargs": {}},
            "method_kwargs": {
                "proj_hidden_dim": 32,
                "proj_output_dim": WIDTH,
                "pred_hidden_dim": 32,
                "temperature": 0.2,
                "queue_size": 2 * BATCH,
                "num_prototypes": [5, 5] if name == "deepclusterv2" else 5,
                "temperature_q": 0.1,
                "temperature_k": 0.04,
                "lamb": 0.005,
                "scale_loss": 0.1,
                "sim_loss_weight": 25.0,
                "var_loss_weight": 25.0,
                "cov_loss_weight": 1.0,
                "iternorm": False,
                "whitening_size": BATCH,
                "whitening_iters": 1,
            },
            "momentum": {"base_tau": 0.9, "final_tau": 1.0, "classifier": False},
            "data": {
                "dataset": dataset,
                "num_large_crops": 2,
                "num_small_crops": 0,
                "num_classes": 5,
            },
            "optimizer": {
                "name": "sgd",
                "batch_size": BATCH,
                "lr": 0.01,
                "weight_decay": 0.0,
                "classifier_lr": 0.1,
            },
            "scheduler": {"name": "warmup_cosine"},
            "max_epochs": epochs,
        }
    )
    if method.endswith("_tph"):
        cfg.method_kwargs.head = SMALL_HEAD if head is None else head
    if name == "wmse":
        cfg.method_kwargs.proj_output_dim = 4  # whitening needs more samples than dimensions
    return cfg


class Views(Dataset[tuple[int, list[Tensor], int]]):
    def __len__(self) -> int:
        return 2 * BATCH

    def __getitem__(self, index: int) -> tuple[int, list[Tensor], int]:
        generator = torch.Generator().manual_seed(index)
        return index, list(torch.randn(2, 3, 32, 32, generator=generator)), index % 5


def batch() -> list[Any]:
    return next(iter(DataLoader(Views(), batch_size=BATCH)))


def fit(model: LightningModule, *, epochs: int = 1, ckpt_path: Path | None = None) -> Trainer:
    trainer = Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        devices=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    loader = DataLoader(Views(), batch_size=BATCH, shuffle=True, drop_last=True)
    trainer.fit(model, loader, ckpt_path=ckpt_path)
    return trainer


def build(method: str, seed: int = 0, **options: Any) -> Any:
    torch.manual_seed(seed)
    return METHODS[method](config(method, **options))


def test_register_is_idempotent_and_undone() -> None:
    assert len(METHOD_NAMES) == 17
    known = dict(METHODS)
    register()
    assert known == METHODS
    backbones = dict(BaseMethod._BACKBONES)
    unregister()
    assert not any(name.endswith("_tph") for name in METHODS)
    assert len(METHODS) == len(known) - 17
    assert backbones != BaseMethod._BACKBONES
    unregister()
    register()
    assert known == METHODS


def test_register_refuses_a_name_that_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    unregister()
    monkeypatch.setitem(METHODS, "swav_tph", SimCLR)
    with pytest.raises(RuntimeError, match="'swav_tph'.*already exists"):
        register()
    assert "simclr_tph" not in METHODS


def test_every_method_with_a_projector_is_registered() -> None:
    others = {"base", "linear", "dino", "mae"}
    assert set(METHOD_NAMES) == {n for n in METHODS if not n.endswith("_tph")} - others


@pytest.mark.parametrize("name", METHOD_NAMES)
def test_only_the_projector_differs_from_the_base_method(name: str) -> None:
    base, model = build(name), build(f"{name}_tph")
    after = torch.rand(3)
    build(name)
    torch.testing.assert_close(torch.rand(3), after)  # the order of the data stays paired

    assert isinstance(model.projector, TransformerProjectionHead)
    expected = base.state_dict()
    for key, value in model.state_dict().items():
        if "projector." not in key:
            torch.testing.assert_close(value, expected.pop(key), msg=key)
    assert all("projector." in key for key in expected)
    x, _ = batch()[1]
    assert model(x)["z"].shape == base(x)["z"].shape
    assert not any("encoder" in n or "backbone" in n for n, _ in model.projector.named_parameters())


@pytest.mark.parametrize("views", ["separate", "joint"])
@pytest.mark.parametrize("name", METHOD_NAMES)
def test_an_epoch_trains_the_head_and_moves_its_teacher(name: str, views: str) -> None:
    epochs = 2 if name == "deepclusterv2" else 1  # it has no clusters in its first epoch
    model = build(f"{name}_tph", head={**SMALL_HEAD, "views": views}, epochs=epochs)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    fit(model, epochs=epochs)
    after = model.state_dict()
    for part in ("backbone.conv1.weight", "projector.input.weight", "projector.output.weight"):
        assert after[part].isfinite().all()
        assert not torch.equal(after[part], before[part])
    if hasattr(model, "momentum_projector"):
        teacher = "momentum_projector.output.weight"
        assert not any(p.requires_grad for p in model.momentum_projector.parameters())
        assert torch.equal(before[teacher], before["projector.output.weight"])
        assert not torch.equal(after[teacher], before[teacher])
        assert not torch.equal(after[teacher], after["projector.output.weight"])


def test_joint_views_share_one_sequence_and_nothing_else() -> None:
    views = batch()[1]
    separate, joint = (
        build("simclr_tph", head={**SMALL_HEAD, "views": v}) for v in ("separate", "joint")
    )
    seen: dict[str, list[tuple[int, ...]]] = {"separate": [], "joint": []}
    losses = {}
    for name, model in (("separate", separate), ("joint", joint)):
        model.projector.register_forward_hook(
            lambda _module, args, _out, name=name: seen[name].append(tuple(args[0].shape))
        )
        model.log_dict = model.log = lambda *_args, **_kwargs: None
        losses[name] = model.training_step(batch(), 0)
    assert seen == {"separate": [(BATCH, 512)] * 2, "joint": [(2 * BATCH, 512)]}
    # The real modules are back, and BatchNorm saw one view at a time in both.
    assert isinstance(joint.projector, TransformerProjectionHead)
    expected = dict(separate.backbone.named_buffers())
    for key, value in joint.backbone.named_buffers():
        torch.testing.assert_close(value, expected[key])
    assert not torch.equal(losses["separate"], losses["joint"])
    joint.projector.train(False)
    z = joint.projector(torch.cat([joint.backbone.eval()(view) for view in views]))
    assert z.shape == (2 * BATCH, WIDTH)


def test_joint_views_without_mixing_are_separate_views() -> None:
    gradients = []
    for views in ("separate", "joint"):
        model = build("byol_tph", head={**SMALL_HEAD, "attention": "self", "views": views})
        model.log_dict = lambda *_args, **_kwargs: None
        model.training_step(batch(), 0).backward()
        gradients.append({n: p.grad for n, p in model.named_parameters() if p.grad is not None})
    assert gradients[0].keys() == gradients[1].keys()
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient, atol=1e-5, rtol=1e-3)


def test_small_crops_share_the_sequence_too() -> None:
    cfg = config("simclr_tph", head={**SMALL_HEAD, "views": "joint"})
    cfg.data.num_small_crops = 1
    model = METHODS["simclr_tph"](cfg)
    model.log_dict = model.log = lambda *_args, **_kwargs: None
    lengths = []
    model.projector.register_forward_hook(lambda _m, args, _o: lengths.append(len(args[0])))
    index, views, targets = batch()
    loss = model.training_step([index, [*views, torch.randn(BATCH, 3, 24, 24)], targets], 0)
    assert loss.isfinite()
    assert lengths == [3 * BATCH]


def test_the_modules_come_back_when_a_joint_step_fails() -> None:
    model = build("byol_tph", head={**SMALL_HEAD, "views": "joint"})
    index, views, _ = batch()
    with pytest.raises(ValueError, match="batch_size"):
        model.training_step([index, views, torch.zeros(BATCH + 1).long()], 0)
    assert isinstance(model.projector, TransformerProjectionHead)
    assert isinstance(model.momentum_projector, TransformerProjectionHead)


def test_a_joint_method_that_changes_the_features_is_refused() -> None:
    class Scaled(SimCLR):
        def forward(self, images: Tensor) -> dict[str, Tensor]:
            out: dict[str, Tensor] = super(SimCLR, self).forward(images)
            return {**out, "z": self.projector(2 * out["feats"])}

    model = with_head(Scaled)(config("simclr_tph", head={**SMALL_HEAD, "views": "joint"}))
    with pytest.raises(RuntimeError, match="use views='separate'"):
        model.training_step(batch(), 0)


def test_teachers_never_run_dropout() -> None:
    model = build("byol_tph", head={**SMALL_HEAD, "dropout": 0.5})
    x = torch.randn(BATCH, 512)
    assert torch.equal(model.momentum_projector(x), model.momentum_projector(x))
    assert not torch.equal(model.projector(x), model.projector(x))


def test_presets_and_the_feed_forward_head() -> None:
    assert build("simclr_tph", head={}).projector.hidden_dim == 128
    assert build("simclr_tph", head={"name": "transformer-large"}).projector.hidden_dim == 256
    model = build("mocov2plus_tph", head={"name": "feedforward", "hidden_dim": 32})
    assert isinstance(model.projector, FeedForwardProjectionHead)
    assert isinstance(model.momentum_projector, FeedForwardProjectionHead)
    assert OmegaConf.to_container(model.cfg.method_kwargs.head) == {
        "name": "feedforward",
        "views": "separate",
        "hidden_dim": 32,
    }


def test_mocov3_keeps_its_own_vit() -> None:
    backbones = []
    for method in ("mocov3", "mocov3_tph"):
        cfg = config(method)
        cfg.backbone = {"name": "vit_tiny", "kwargs": {"img_size": 32}}
        backbones.append(METHODS[method](cfg).backbone)
    assert type(backbones[1]) is type(backbones[0])
    linear = BaseMethod._BACKBONES["vit_tiny"](method="mocov3_tph", img_size=32)  # main_linear.py
    assert type(linear) is type(backbones[0])


@pytest.mark.parametrize(
    ("head", "message"),
    [
        ({"num_layer": 3}, "no option 'num_layer'.*Did you mean 'num_layers'"),
        ({"output_dim": 3}, "set method_kwargs.proj_output_dim"),
        ({"views": "both"}, "views='both' must be 'separate' or 'joint'"),
        ({"name": "transfomer"}, "no head 'transfomer'.*Did you mean"),
        ({"name": "feedforward", "num_heads": 2}, "no option 'num_heads'"),
        ({"num_layers": 0}, "num_layers=0 must be a whole number of at least 1"),
        ("tph_small", "write method_kwargs.head.name=tph_small"),
    ],
)
def test_wrong_options_are_refused(head: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build("simclr_tph", head=head)


def test_methods_without_a_projector_are_refused() -> None:
    with pytest.raises(ValueError, match=r"BaseMethod has no projector to replace; .* simclr"):
        with_head(BaseMethod)(config("simclr_tph"))
    with pytest.raises(TypeError, match="Linear is no solo-learn method"):
        with_head(nn.Linear)


def test_a_projector_without_a_width_is_refused() -> None:
    class Bare(SimCLR):
        def __init__(self, cfg: Any) -> None:
            super().__init__(cfg)
            self.projector = nn.Identity()

    with pytest.raises(ValueError, match="width of Bare's projector cannot be inferred"):
        with_head(Bare)(config("simclr_tph"))


@pytest.mark.parametrize("version", ["1.0.2", "1.1.0", "2.0"])
def test_other_versions_are_refused(version: str) -> None:
    with pytest.raises(ImportError, match=rf"{version} is installed. PyPI has only 1.0.2"):
        _require_supported(version, BaseMethod)
    _require_supported(None, BaseMethod)
    _require_supported("1.0.6", BaseMethod)
    with pytest.raises(ImportError, match="an older one is installed"):
        _require_supported(None, nn.Module)


@pytest.mark.parametrize("name", ["simclr", "simsiam", "byol"])
def test_a_checkpoint_resumes_and_gives_its_backbone(name: str, tmp_path: Path) -> None:
    path = tmp_path / "model.ckpt"
    seed_everything(1)
    model = build(f"{name}_tph", epochs=2, dataset="cifar10")
    fit(model).save_checkpoint(path)
    resumed = build(f"{name}_tph", seed=5, epochs=2, dataset="cifar10")
    trainer = fit(resumed, epochs=2, ckpt_path=path)
    assert trainer.global_step == 4

    backbone = load_backbone(path, "resnet18")
    x = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(backbone(x), model.eval().backbone(x))


def test_a_checkpoint_of_another_head_is_not_resumed(tmp_path: Path) -> None:
    path = tmp_path / "model.ckpt"
    fit(build("simclr_tph", epochs=2)).save_checkpoint(path)
    control = build("simclr_tph", head={**SMALL_HEAD, "attention": "self"}, epochs=2)
    with pytest.raises(ValueError, match="give this run a `name` of its own"):
        fit(control, epochs=2, ckpt_path=path)


def test_wrong_checkpoints_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.ckpt"
    with pytest.raises(FileNotFoundError, match="There is no file"):
        load_backbone(path)
    path.write_bytes(b"nothing")
    with pytest.raises(ValueError, match="cannot be read as a checkpoint"):
        load_backbone(path)
    fit(build("simclr")).save_checkpoint(path)
    with pytest.raises(ValueError, match="is no checkpoint of a _tph method"):
        load_backbone(path)
    fit(build("simclr_tph")).save_checkpoint(path)
    with pytest.raises(FileNotFoundError, match=r"its checkpoints are: .*model\.ckpt"):
        load_backbone(tmp_path)
    with pytest.raises(ValueError, match="holds a resnet18, not a resnet50"):
        load_backbone(path, "resnet50")

    saved = torch.load(path)
    weights = saved["state_dict"]
    saved["state_dict"] = {k: v for k, v in weights.items() if not k.startswith("backbone.bn1")}
    torch.save(saved, path)
    with pytest.raises(ValueError, match=r"backbone\.bn1\.bias \(and 4 more\) is missing"):
        load_backbone(path)
    saved["state_dict"] = weights | {"backbone.conv1.weight": torch.zeros(2)}
    torch.save(saved, path)
    with pytest.raises(ValueError, match=r"backbone\.conv1\.weight has another shape"):
        load_backbone(path)


def test_attention_is_recorded_as_in_any_model() -> None:
    model = build("byol_tph")
    x, _ = batch()[1]
    with record_attention(model) as maps:
        model(x)
    assert maps[0].shape == (1, 2, BATCH, BATCH)
    torch.testing.assert_close(maps[1].sum(-1), torch.ones(1, 2, BATCH))


@pytest.mark.parametrize("snippet", SNIPPETS)
def test_the_snippets_of_the_page_run(snippet: str, tmp_path: Path) -> None:
    path = tmp_path / "model.ckpt"
    fit(build("simclr_tph")).save_checkpoint(path)
    exec(snippet, {"checkpoint": path, "images": torch.randn(2, 3, 32, 32)})


@pytest.mark.parametrize("method", ["simclr_tph", "byol_tph", "mocov2plus_tph", "vicreg"])
def test_the_monitors_work_in_its_methods(method: str) -> None:
    knn, collapse = OnlineKNN(), CollapseMonitor()
    watching: list[Any] = [knn, collapse]  # of the other Lightning package, for a type checker
    trainer = Trainer(
        max_epochs=1,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=watching,
    )
    trainer.fit(METHODS[method](config(method)), DataLoader(Views(), batch_size=BATCH))
    assert knn.history["knn_accuracy"][1] == pytest.approx(
        float(trainer.callback_metrics["knn_accuracy"])
    )
    assert list(collapse.last) == ["projector"]

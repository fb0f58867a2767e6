"""Against the real stable-pretraining; skipped where it is not installed."""

import inspect
import pickle
import sys
import warnings
from collections.abc import Callable
from importlib import import_module
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from df_heads import TransformerProjectionHead
from df_heads.augment import SimCLRAugment
from df_heads.integrations.callbacks import CollapseMonitor, OnlineKNN

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    spt: Any = pytest.importorskip(
        "stable_pretraining", reason="stable-pretraining is not installed", exc_type=ImportError
    )
    import lightning as pl
    from stable_pretraining.forward import barlow_twins, byol, dino, nnclr, simclr, swav, vicreg
    from torch.utils.data import DataLoader, TensorDataset

    from df_heads.integrations.stable_pretraining import (
        TwoViewsInBatch,
        teacher_student,
        with_views,
    )
    from df_heads.integrations.stable_pretraining.support import _require_supported

pytestmark = pytest.mark.filterwarnings("ignore")  # stable-pretraining and the Trainer it sets up

WIDTH, OUT, BATCH = 12, 6, 8
LOSSES: dict[str, Any] = {
    "simclr_loss": spt.losses.NTXEntLoss(temperature=0.2),
    "vicreg_loss": spt.losses.VICRegLoss(),
    "barlow_loss": spt.losses.BarlowTwinsLoss(),
    "byol_loss": spt.losses.BYOLLoss(),
}
FORWARDS = {"simclr": simclr, "vicreg": vicreg, "barlow_twins": barlow_twins}


def backbone() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, WIDTH, 3, stride=2),
        nn.BatchNorm2d(WIDTH),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )


def head(**options: Any) -> TransformerProjectionHead:
    # The paper's form mixes from the start, and the BatchNorm tells one sequence from two.
    return TransformerProjectionHead(
        WIDTH,
        8,
        OUT,
        2,
        num_heads=2,
        head_dim=4,
        **{"form": "paper", "input_norm": "batch", **options},
    )


def module(forward: Any, *, momentum: bool = False, **parts: Any) -> Any:
    torch.manual_seed(0)
    made: dict[str, Any] = {"backbone": backbone(), "projector": head()}
    if momentum:
        made = {
            "backbone": spt.TeacherStudentWrapper(made["backbone"]),
            "projector": teacher_student(made["projector"]),
            "predictor": nn.Linear(OUT, OUT),
        }
    built = spt.Module(
        forward=forward,
        optim={"optimizer": {"type": "SGD", "lr": 0.01}, "scheduler": "ConstantLR"},
        **{**made, **LOSSES, **parts},
    )
    built.log = lambda *_, **__: None  # there is no Trainer yet
    return built


def batch() -> dict[str, Any]:
    torch.manual_seed(1)
    labels = torch.arange(BATCH) % 3
    return {"views": [{"image": torch.randn(BATCH, 3, 16, 16), "label": labels} for _ in range(2)]}


def loss_of(name: str, z0: Tensor, z1: Tensor) -> Tensor:
    loss: Tensor = LOSSES[{"barlow_twins": "barlow_loss"}.get(name, f"{name}_loss")](z0, z1)
    return loss


@pytest.mark.parametrize("name", FORWARDS)
def test_views_are_separate_or_joint(name: str) -> None:
    images = [view["image"] for view in batch()["views"]]
    found = {}
    for views in ("separate", "joint"):
        model = module(with_views(FORWARDS[name], views))
        found[views] = model(batch(), stage="fit")["loss"]
        found[views].backward()
        twin = module(FORWARDS[name])
        features = [twin.backbone(image) for image in images]
        if views == "joint":
            z0, z1 = twin.projector(torch.cat(features)).chunk(2)
        else:
            z0, z1 = (twin.projector(each) for each in features)
        expected = loss_of(name, z0, z1)
        expected.backward()
        torch.testing.assert_close(found[views], expected)
        for ours, theirs in zip(model.parameters(), twin.parameters(), strict=True):
            torch.testing.assert_close(ours.grad, theirs.grad)
        # Running statistics count each view once.
        torch.testing.assert_close(model.state_dict(), twin.state_dict())
    assert not torch.allclose(found["separate"], found["joint"])


def test_byols_networks_both_join_the_views() -> None:
    model, twin = (module(with_views(byol, "joint"), momentum=True) for _ in range(2))
    out = model(batch(), stage="fit")
    out["loss"].backward()
    images = [view["image"] for view in batch()["views"]]
    online = twin.projector.student(torch.cat([twin.backbone.student(i) for i in images])).chunk(2)
    target = twin.projector.teacher(torch.cat([twin.backbone.teacher(i) for i in images])).chunk(2)
    p0, p1 = (twin.predictor(z) for z in online)
    expected = (
        LOSSES["byol_loss"](p0, target[1].detach()) + LOSSES["byol_loss"](p1, target[0].detach())
    ) / 2
    torch.testing.assert_close(out["loss"], expected)
    assert not out["embedding"].requires_grad
    assert all(p.grad is None for p in model.projector.teacher.parameters())
    assert any(p.grad is not None for p in model.projector.student.parameters())


def test_evaluation_and_what_is_not_two_views_stay_as_they_are() -> None:
    model = module(with_views(simclr, "joint")).eval()
    images = torch.randn(3, 3, 16, 16)
    assert torch.equal(
        model({"image": images}, stage="validate")["embedding"], model.backbone(images)
    )
    assert "loss" not in model(batch(), stage="validate")


def test_the_real_networks_come_back_after_an_error() -> None:
    def broken(self: Any, batch: Any, stage: str) -> Any:
        return self.projector(self.backbone(batch["views"][0]["image"]) + 1)

    model = module(with_views(broken, "joint"))
    networks = (model.backbone, model.projector)
    with pytest.raises(
        RuntimeError, match="views='joint' needs a method that hands the backbone's"
    ):
        model(batch(), stage="fit")
    assert (model.backbone, model.projector) == networks


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: with_views(simclr, "both"), "views='both' is not known; choose 'separate' or"),  # type: ignore[arg-type]
        (
            lambda: module(with_views(byol, "joint"), momentum=True, projector=head())(
                batch(), stage="fit"
            ),
            "needs a TeacherStudentWrapper around backbone and projector, or around neither",
        ),
        (
            lambda: module(with_views(simclr, "joint"), backbone=nn.Conv2d(3, WIDTH, 16))(
                batch(), stage="fit"
            ),
            r"a backbone that gives \(N, D\) for a view; this one gives \(8, 12, 1, 1\)",
        ),
    ],
    ids=["unknown", "half", "maps"],
)
def test_what_has_no_joint_views_is_refused(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_dino_joins_its_crops_itself_and_says_so() -> None:
    crops = {f"global_{i}": {"image": torch.randn(4, 3, 16, 16)} for i in range(2)}
    model = module(with_views(dino, "joint"), momentum=True)
    with pytest.raises(RuntimeError, match="this one joins or changes them first"):
        model({"views": crops}, stage="fit")


def test_teachers_drop_nothing_out_and_follow() -> None:
    wrapper = teacher_student(head(dropout=0.5), base_ema_coefficient=0.5)
    x = torch.randn(5, WIDTH)
    assert torch.equal(wrapper.forward_teacher(x), wrapper.forward_teacher(x))
    assert not torch.equal(wrapper.forward_student(x), wrapper.forward_student(x))
    assert not any(p.requires_grad for p in wrapper.teacher.parameters())
    with torch.no_grad():
        for p in wrapper.student.parameters():
            p.add_(1)
    before = wrapper.teacher.input.weight.clone()
    wrapper.update_teacher()
    torch.testing.assert_close(wrapper.teacher.input.weight, before + 0.5)
    same = teacher_student(head(dropout=0.5), base_ema_coefficient=0.0, final_ema_coefficient=0.0)
    assert same.teacher is same.student


def test_our_views_are_a_gpu_transform() -> None:
    images = torch.randint(0, 256, (5, 3, 20, 20), dtype=torch.uint8)
    transform = TwoViewsInBatch(SimCLRAugment(16))
    made = transform({"image": images, "label": torch.arange(5), "sample_idx": torch.arange(5)})
    assert [sorted(view) for view in made["views"]] == [["image", "label", "sample_idx"]] * 2
    assert [view["image"].shape for view in made["views"]] == [(5, 3, 16, 16)] * 2
    assert not torch.equal(made["views"][0]["image"], made["views"][1]["image"])
    plain = transform.normalize({"image": images, "label": torch.arange(5)})
    assert torch.equal(plain["image"], SimCLRAugment(16).normalize(images))
    with pytest.raises(TypeError, match='must have images .* under "image".* has a NoneType'):
        transform({"views": []})


@pytest.mark.parametrize("views", ["separate", "joint"])
@pytest.mark.parametrize("method", ["simclr", "byol"])
def test_a_trainer_trains_it_with_our_callbacks(method: str, views: Any, tmp_path: Any) -> None:
    images = torch.randint(0, 256, (48, 3, 20, 20), dtype=torch.uint8)
    data = spt.data.FromTorchDataset(
        TensorDataset(images, torch.arange(48) % 4),
        names=["image", "label"],
        gpu_transform=TwoViewsInBatch(SimCLRAugment(16)),
    )
    model = module(
        with_views({"simclr": simclr, "byol": byol}[method], views), momentum=method == "byol"
    )
    del model.log
    before = {name: value.clone() for name, value in model.state_dict().items()}
    monitor, knn = CollapseMonitor(), OnlineKNN()
    watching: list[Any] = [monitor, knn]  # of the other Lightning package, for a type checker
    trainer = pl.Trainer(
        max_epochs=2,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        default_root_dir=tmp_path,
        callbacks=[*watching, spt.callbacks.TeacherStudentCallback()],
    )
    trainer.fit(model, DataLoader(data, batch_size=16, drop_last=True))
    assert list(monitor.last) == ["projector" if method == "simclr" else "projector.student"]
    assert sorted(knn.history["knn_accuracy"]) == [1, 2]
    name = f"{next(iter(monitor.last))}.input.weight"
    assert not torch.equal(model.state_dict()[name], before[name])


def test_it_is_pickled_for_other_processes() -> None:
    forward = pickle.loads(pickle.dumps(with_views(simclr, "joint")))
    assert forward.forward is simclr
    assert forward.__name__ == "joint_simclr"


@pytest.mark.parametrize("forward", [swav, nnclr])
def test_other_forwards_call_the_projector_once_a_view(forward: Any) -> None:
    assert "[self.projector(emb) for emb in embeddings]" in inspect.getsource(forward)


@pytest.mark.parametrize("version", ["0.1.7", "0.2.0", "1.0", "unknown"])
def test_other_versions_are_refused(version: str) -> None:
    with pytest.raises(
        ImportError, match=rf"does not know {version}; it needs stable-pretraining 0"
    ):
        _require_supported(version)
    _require_supported("0.1.9rc1")


def test_without_it_one_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(sys.modules):
        if name.startswith("df_heads.integrations.stable_pretraining"):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "stable_pretraining", None)
    with pytest.raises(ImportError, match="needs stable-pretraining 0.1.8 .*pip install"):
        import_module("df_heads.integrations.stable_pretraining")

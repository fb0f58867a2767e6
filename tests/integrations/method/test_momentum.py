import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from lightning_versions import WEIGHTS_ONLY
from pytorch_lightning import Callback
from torch import Tensor, nn

from df_heads import FeedForwardProjectionHead, TransformerProjectionHead
from df_heads.integrations.barlowtwins import BarlowTwins
from df_heads.integrations.byol import BYOL
from df_heads.integrations.dino import DINO
from df_heads.integrations.method.momentum import MomentumMethod, Teacher
from df_heads.integrations.moco import MoCo
from df_heads.integrations.nnclr import NNCLR
from df_heads.integrations.simclr import SimCLR
from df_heads.integrations.simsiam import SimSiam
from df_heads.integrations.supcon import SupCon
from df_heads.integrations.vicreg import VICReg

Make = Callable[..., Any]


class SmallDINO(DINO):
    """With few prototypes, which move from the first epoch on."""

    def __init__(
        self, *args: Any, num_prototypes: int = 12, freeze_last_layer: int = 0, **kwargs: Any
    ) -> None:
        super().__init__(
            *args, num_prototypes=num_prototypes, freeze_last_layer=freeze_last_layer, **kwargs
        )


TEACHERS = [MoCo, BYOL, SmallDINO]


def noisy_backbone() -> nn.Sequential:
    return nn.Sequential(nn.Linear(6, 6), nn.BatchNorm1d(6), nn.Dropout(0.5))


def changed(module: nn.Module) -> nn.Module:
    """A copy with other parameters and other running statistics."""
    other = copy.deepcopy(module)
    for tensor in other.state_dict().values():
        tensor.add_(3 if tensor.dtype == torch.long else torch.rand_like(tensor))
    return other


def test_a_teacher_starts_as_a_frozen_copy() -> None:
    backbone, head = changed(noisy_backbone()), FeedForwardProjectionHead(6, 8, 4)
    teacher = Teacher(backbone, head)
    for name, value in backbone.state_dict().items():
        assert torch.equal(teacher.backbone.state_dict()[name], value)
        assert teacher.backbone.state_dict()[name].data_ptr() != value.data_ptr()
    assert not any(p.requires_grad for p in teacher.parameters())
    assert all(p.requires_grad for p in [*backbone.parameters(), *head.parameters()])


@pytest.mark.parametrize("momentum", [0.0, 0.9, 1.0])
def test_an_update_moves_parameters_and_buffers(momentum: float) -> None:
    first = noisy_backbone(), FeedForwardProjectionHead(6, 8, 4)
    teacher = Teacher(*first)
    backbone, head = map(changed, first)
    before = copy.deepcopy(teacher.state_dict())
    teacher.update(nn.ModuleDict({"backbone": backbone, "projection_head": head}), momentum)
    student = {f"backbone.{name}": value for name, value in backbone.state_dict().items()}
    student |= {f"projection_head.{name}": value for name, value in head.state_dict().items()}
    assert student.keys() == before.keys()
    assert any("running_var" in name for name in student)
    for name, value in teacher.state_dict().items():
        expected = student[name]
        if value.is_floating_point():
            expected = momentum * before[name] + (1 - momentum) * expected
        torch.testing.assert_close(value, expected)
        assert not value.requires_grad


def test_a_teacher_never_drops_out_and_its_batch_norm_uses_the_batch() -> None:
    head = TransformerProjectionHead(6, 8, 8, num_layers=1, num_heads=2, dropout=0.5)
    teacher = Teacher(noisy_backbone(), head)
    model = nn.ModuleDict({"teacher": teacher})
    x = torch.randn(8, 6)
    before = copy.deepcopy(teacher.state_dict())
    for mode in (True, False, True):  # a validation between two epochs
        model.train(mode)
        with teacher.teaching():
            features = teacher.backbone(x)
            assert torch.equal(features, teacher.backbone(x))
            assert torch.equal(teacher.projection_head(x), teacher.projection_head(x))
        # Dropout would double some of it.
        with_batch_statistics = features.mean(dim=0).abs().max() < 1e-6
        assert with_batch_statistics == mode
        assert all(module.training == mode for module in teacher.modules())
    for name, value in teacher.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_sync_batch_norm_keeps_the_rule() -> None:
    teacher = nn.SyncBatchNorm.convert_sync_batchnorm(Teacher(noisy_backbone(), nn.Identity()))
    norm = teacher.backbone[1]
    assert isinstance(norm, nn.SyncBatchNorm)
    assert norm.running_mean is not None
    assert not norm.track_running_stats
    with teacher.teaching():
        assert norm.training
        assert not teacher.backbone[2].training


@pytest.mark.parametrize("method", TEACHERS)
def test_the_teacher_of_a_method_does_not_drop_out(
    method: Any, tiny: Make, views: list[Tensor]
) -> None:
    noisy = TransformerProjectionHead(
        16, 8, 8, num_layers=2, num_heads=2, head_dim=4, dropout=0.5, form="paper"
    )
    model = tiny(method, head=noisy)
    first, second = (torch.cat(model.teacher_projections(views)) for _ in range(2))
    assert torch.equal(first, second)
    assert not first.requires_grad
    assert not torch.equal(model.loss(views), model.loss(views))  # the student does


@pytest.mark.parametrize("method", TEACHERS)
def test_the_teacher_gets_no_gradient_and_no_optimiser(
    method: Any, tiny: Make, quick_trainer: Make, loader: Make
) -> None:
    model = tiny(method)
    trainer = quick_trainer(max_epochs=1)
    trainer.fit(model, loader())
    trained = {id(p) for group in trainer.optimizers[0].param_groups for p in group["params"]}
    theirs = {id(p) for p in model.teacher.parameters()}
    assert trained == {id(p) for p in model.parameters()} - theirs
    assert all(p.grad is None for p in model.teacher.parameters())
    assert all(p.grad is not None for p in model.parameters() if id(p) in trained)


class Recorder(Callback):
    """The student's and the teacher's weights after each batch, as a checkpoint would find them."""

    def __init__(self) -> None:
        self.students: list[Tensor] = []
        self.teachers: list[Tensor] = []

    def on_train_batch_end(self, trainer: Any, pl_module: Any, *rest: Any) -> None:
        self.students.append(pl_module.backbone[0].weight.detach().clone())
        self.teachers.append(pl_module.teacher.backbone[0].weight.detach().clone())


@pytest.mark.parametrize("accumulate", [1, 2])
def test_the_teacher_moves_after_each_step_of_the_optimiser(
    accumulate: int, tiny: Make, quick_trainer: Make, loader: Make
) -> None:
    model, recorder = tiny(MoCo, teacher_momentum=0.75), Recorder()
    teacher = model.teacher.backbone[0].weight.clone()
    trainer = quick_trainer(callbacks=[recorder], accumulate_grad_batches=accumulate)
    trainer.fit(model, loader())
    for batch, (student, found) in enumerate(
        zip(recorder.students, recorder.teachers, strict=True), start=1
    ):
        if batch % accumulate == 0:
            teacher = 0.75 * teacher + 0.25 * student
        torch.testing.assert_close(found, teacher)
    assert batch == 8


class Saver(Callback):
    """Saves a checkpoint after some batches, as ModelCheckpoint(every_n_train_steps) does."""

    def __init__(self, file: Any, step: int) -> None:
        self.file = file
        self.step = step

    def on_train_batch_end(self, trainer: Any, *rest: Any) -> None:
        if trainer.global_step == self.step:
            trainer.save_checkpoint(self.file)


@pytest.mark.parametrize("views", ["separate", "joint"])
@pytest.mark.parametrize(
    ("method", "options"),
    [
        (SimCLR, {}),
        (MoCo, {"queue_size": 48, "teacher_momentum": 0.9}),
        (BYOL, {}),
        (VICReg, {}),
        (BarlowTwins, {}),
        (SimSiam, {"prediction_hidden_dim": 6}),
        (NNCLR, {"queue_size": 40, "prediction_hidden_dim": 6}),
        (SupCon, {}),
        (DINO, {"num_prototypes": 12, "teacher_momentum": 0.9}),
    ],
)
def test_steps_after_a_resume_equal_those_of_the_uninterrupted_run(
    method: Any,
    options: Any,
    views: Any,
    tiny: Make,
    quick_trainer: Make,
    loader: Make,
    tmp_path: Any,
) -> None:
    whole, file = tiny(method, views=views, **options), tmp_path / "epoch.ckpt"
    limits = {"limit_train_batches": 2, "max_epochs": 2}
    quick_trainer(callbacks=[Saver(file, 2)], **limits).fit(whole, loader())
    resumed = tiny(method, seed=1, views=views, **options)
    trainer = quick_trainer(**limits)
    trainer.fit(resumed, loader(), ckpt_path=file, **WEIGHTS_ONLY)
    assert trainer.global_step == 4
    saved = torch.load(file, weights_only=True)["state_dict"]
    state = resumed.state_dict()
    for name, value in whole.state_dict().items():
        assert torch.equal(state[name], value), name
    moved = {name for name, value in state.items() if not torch.equal(value, saved[name])}
    assert moved >= {"backbone.0.weight", "projection_head.input.weight"}
    if issubclass(method, MomentumMethod):
        assert "teacher.backbone.0.weight" in moved
    if method in (MoCo, NNCLR):
        assert {"queue.keys", "queue.pointer"} <= moved
    if method is DINO:
        assert {"criterion.center", "prototypes.weight", "teacher.prototypes.weight"} <= moved


@pytest.mark.parametrize("method", TEACHERS)
def test_a_checkpoint_builds_the_same_model_again(
    method: Any, quick_trainer: Make, loader: Make, tmp_path: Any
) -> None:
    torch.manual_seed(0)
    options = {"teacher_momentum": 0.8, "image_size": 16, "head_options": {"num_layers": 1}}
    model = method("test_resnet", "transformer-self-small", **options)
    trainer = quick_trainer(max_epochs=1, limit_train_batches=1)
    trainer.fit(model, loader())
    trainer.save_checkpoint(tmp_path / "model.ckpt")
    twin = method.load_from_checkpoint(tmp_path / "model.ckpt", **WEIGHTS_ONLY)
    assert twin.teacher_momentum == 0.8
    assert not any(p.requires_grad for p in twin.teacher.parameters())
    for name, value in model.state_dict().items():
        assert torch.equal(twin.state_dict()[name], value), name


@pytest.mark.parametrize("method", TEACHERS)
def test_runs_with_different_heads_stay_paired(method: Any) -> None:
    states = []
    for head in ("transformer", "feedforward"):
        torch.manual_seed(3)
        model = method("test_resnet", head, image_size=16)
        states.append((model.backbone.state_dict(), torch.rand(1)))
    for name, value in states[0][0].items():
        assert torch.equal(value, states[1][0][name])
    assert torch.equal(states[0][1], states[1][1])


@pytest.mark.parametrize("method", TEACHERS)
@pytest.mark.parametrize("value", [-0.1, 1.1])
def test_bad_momentum_gets_one_clear_sentence(method: Any, value: float, tiny: Make) -> None:
    with pytest.raises(ValueError, match=f"teacher_momentum={value} must be between 0 and 1"):
        tiny(method, teacher_momentum=value)

"""A teacher: frozen copies of the backbone and the head that follow them as a moving average."""

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from lightly.utils.scheduler import cosine_schedule
from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim.swa_utils import get_ema_multi_avg_fn
from typing_extensions import Unpack

from df_heads._finite import check_number
from df_heads.integrations.method.base import Method, Views
from df_heads.integrations.method.options import MethodOptions


class Teacher(nn.Module):
    """The key network of MoCo, the target network of BYOL, the teacher of DINO.

    In training its BatchNorms normalise with the statistics of the batch, as in the reference
    codes (facebookresearch/moco, moco/builder.py; google-deepmind/deepmind-research,
    byol/byol_experiment.py: the target network runs with is_training=True). Everything else, such
    as dropout and stochastic depth, runs in evaluation mode, whatever `train()` was told: noise in
    a teacher is noise in what the student learns from. The running statistics are moved by `update`
    alone, like the weights they belong to, not by the teacher's own batches.

    Args:
        backbone: The student's; copied.
        projection_head: The student's; copied.
    """

    backbone: nn.Module
    projection_head: nn.Module

    def __init__(self, backbone: nn.Module, projection_head: nn.Module) -> None:
        super().__init__()
        self.follow("backbone", backbone)
        self.follow("projection_head", projection_head)

    def follow(self, name: str, module: nn.Module) -> None:
        """Copy a part of the student, which the student has under this name."""
        part = copy.deepcopy(module).requires_grad_(False)
        for each in part.modules():
            if isinstance(each, _BatchNorm):
                each.track_running_stats = False  # the buffers stay, and serve in evaluation
        self.add_module(name, part)

    @contextmanager
    def teaching(self) -> Iterator[None]:
        """What runs the teacher runs inside this: no gradients, and modes as said above.

        Modes are changed for the moment only: Lightning warns of modules that it finds in
        evaluation mode, and sets modes itself around a validation.
        """
        modes = [(module, module.training) for module in self.modules()]
        for module, training in modes:
            module.training = training and isinstance(module, _BatchNorm)
        try:
            with torch.no_grad():
                yield
        finally:
            for module, training in modes:
                module.training = training

    @torch.no_grad()
    def update(self, student: nn.Module, momentum: float) -> None:
        """Move towards the student: teacher = momentum * teacher + (1 - momentum) * student.

        Args:
            student: Has the parts that this one has, under the same names.
            momentum: From 0, become the student, to 1, stay. Floating point buffers, such as
                running statistics, move like the parameters; other buffers are copied.
        """
        ours: list[Tensor] = []
        theirs: list[Tensor] = []
        for name, copied in self.named_children():
            original = student.get_submodule(name)
            ours += [*copied.parameters(), *copied.buffers()]
            theirs += [*original.parameters(), *original.buffers()]
        moving = [pair for pair in zip(ours, theirs, strict=True) if pair[0].is_floating_point()]
        average: Callable[..., None] = get_ema_multi_avg_fn(momentum)  # type: ignore[no-untyped-call]
        average([mine for mine, _ in moving], [other for _, other in moving], None)
        for mine, other in zip(ours, theirs, strict=True):
            if not mine.is_floating_point():
                mine.copy_(other)


def rising_to_1(start: float, step: int, steps: int) -> float:
    """The momentum after optimiser step `step` (from 0) of `steps`: from start to 1 by a cosine."""
    momentum: float = cosine_schedule(step=step, max_steps=steps, start_value=start, end_value=1.0)
    return momentum


class MomentumMethod(Method):
    """A method whose student learns from a Teacher; the teacher moves after every optimiser step.

    Args:
        teacher_momentum: Momentum of the teacher's moving average, from 0, become the student in
            every step, to 1, stay. Short runs need less than long ones.

    Raises:
        ValueError: If a name is unknown or a number out of range.
    """

    def __init__(
        self,
        backbone: str | nn.Module,
        head: str | nn.Module,
        views: Views,
        *,
        teacher_momentum: float,
        **options: Unpack[MethodOptions],
    ) -> None:
        super().__init__(backbone, head, views, **options)
        check_number(teacher_momentum=teacher_momentum)
        if not 0 <= teacher_momentum <= 1:
            raise ValueError(f"teacher_momentum={teacher_momentum} must be between 0 and 1.")
        self.teacher_momentum = teacher_momentum
        self.teacher = Teacher(self.backbone, self.projection_head)
        self.projection_dim = self.measure_projection_dim()

    def teacher_features(self, images: Tensor) -> Tensor:
        """The teacher's backbone features (N, D) of images (N, 3, H, W)."""
        features: Tensor = self.teacher.backbone(images)
        return features.flatten(start_dim=1)

    def teacher_projections(self, views: Sequence[Tensor]) -> list[Tensor]:
        """The teacher's projections of each view, with the sequences that `views` names."""
        with self.teacher.teaching():
            features = [self.teacher_features(view) for view in views]
            return self.project(features, self.teacher.projection_head)

    def momentum_at(self, step: int, steps: int) -> float:
        """The teacher's momentum after optimiser step `step` (from 0) of `steps`."""
        return self.teacher_momentum

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """As Method's; every step of the optimiser moves the teacher.

        A hook of Lightning would come after the callbacks that save checkpoints, or once for each
        of the batches whose gradients are accumulated.
        """
        config = super().configure_optimizers()
        config["optimizer"].register_step_post_hook(lambda *_: self._update_teacher())
        return config

    def _update_teacher(self) -> None:
        steps = int(self.trainer.estimated_stepping_batches)
        # Lightning counts a step when it is done, hooks included.
        momentum = self.momentum_at(self.trainer.global_step, steps)
        self.teacher.update(self, momentum)

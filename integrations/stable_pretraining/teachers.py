"""Teachers in stable-pretraining that add no noise to the targets."""

from typing import Any

from torch import nn

from df_heads.integrations.method.teachers import noiseless_copy
from df_heads.integrations.stable_pretraining.support import TeacherStudentWrapper


def teacher_student(head: nn.Module, **options: Any) -> TeacherStudentWrapper:
    """A TeacherStudentWrapper around a head, whose teacher drops nothing out in training either.

    stable-pretraining keeps teachers in training mode, where dropout in the head would be noise in
    what the student learns from.

    >>> spt.Module(forward=byol, projector=teacher_student(head), ...)

    Args:
        head: The student.
        options: Of TeacherStudentWrapper, such as base_ema_coefficient.
    """
    wrapper = TeacherStudentWrapper(head, **options)
    if wrapper.teacher is not head:
        wrapper.teacher = noiseless_copy(wrapper.teacher)
    return wrapper

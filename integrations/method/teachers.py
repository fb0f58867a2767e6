"""What every teacher head is: a copy that adds no noise to the targets."""

import copy

from torch import nn

from df_heads.attention import BatchAttention


def noiseless_copy(head: nn.Module) -> nn.Module:
    """A deep copy that drops nothing out, in training mode either.

    The training loops of lightly and solo-learn leave teachers in training mode.
    """
    teacher = copy.deepcopy(head)
    for part in teacher.modules():
        if isinstance(part, nn.Dropout):
            part.p = 0.0
        elif isinstance(part, BatchAttention):
            part.dropout = 0.0
    return teacher

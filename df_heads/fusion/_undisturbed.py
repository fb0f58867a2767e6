"""Running a model to look at it, and leaving it as it was."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import nn

from df_heads.heads import TransformerProjectionHead


@contextmanager
def undisturbed(model: nn.Module) -> Iterator[None]:
    """Eval mode, no gradients, nothing compiled, and no other process waited for.

    Each module's own training flag is put back afterwards, also after an error.
    """
    # Flags are set directly: train() may be overridden, and would flatten mixed flags.
    flags = [(module, module.training) for module in model.modules()]
    heads = [m for m in model.modules() if isinstance(m, TransformerProjectionHead)]
    gathering = [head for head in heads if head.gather_distributed]
    try:
        model.eval()
        for head in gathering:
            head.gather_distributed = False
        with torch.no_grad(), _uncompiled():
            yield
    finally:
        for head in gathering:
            head.gather_distributed = True
        for module, flag in flags:
            module.training = flag


def _uncompiled() -> AbstractContextManager[Any]:
    """Compiled code does not see hooks; torch before 2.6 cannot switch it off."""
    set_stance = getattr(torch.compiler, "set_stance", None)
    return nullcontext() if set_stance is None else set_stance("force_eager")

"""Our methods in solo-learn's table of methods."""

from collections.abc import Callable

from torch import nn

from df_heads.integrations.solo_learn.few_classes import allow_few_classes, forbid_few_classes
from df_heads.integrations.solo_learn.methods import with_head
from df_heads.integrations.solo_learn.support import (
    METHOD_NAMES,
    METHODS,
    SUFFIX,
    BaseMethod,
    backbone_builders,
)

_replaced_backbones: dict[str, Callable[..., nn.Module]] = {}


def register() -> None:
    """Put `<method>_tph` for each of METHOD_NAMES into solo.methods.METHODS.

    >>> register()
    >>> solo.methods.METHODS["simclr_tph"](cfg)

    And let its top-5 accuracy be asked of fewer than five classes. Calling it again changes
    nothing; `unregister` undoes it. The Hydra plugin of this package
    calls it for main_pretrain.py and main_linear.py, the launcher for other scripts.

    Raises:
        RuntimeError: If solo-learn already has something else of such a name; nothing is changed
            then.
    """
    new = {name + SUFFIX: with_head(METHODS[name]) for name in METHOD_NAMES}
    for name, method in new.items():
        if METHODS.get(name, method) is not method:
            raise RuntimeError(
                f"solo.methods.METHODS[{name!r}] already exists and is not df_heads' class; use "
                f"df_heads.integrations.solo_learn.with_head instead of calling register()."
            )
    METHODS.update(new)
    allow_few_classes()
    if not _replaced_backbones:
        # main_linear.py looks them up here, with pretrain_method as the name.
        _replaced_backbones.update(BaseMethod._BACKBONES)
        BaseMethod._BACKBONES.update(backbone_builders())


def unregister() -> None:
    """Remove from solo-learn what `register` put there, and nothing else."""
    for name in METHOD_NAMES:
        if METHODS.get(name + SUFFIX) is with_head(METHODS[name]):
            del METHODS[name + SUFFIX]
    forbid_few_classes()
    BaseMethod._BACKBONES.update(_replaced_backbones)
    _replaced_backbones.clear()

"""Lightning's base classes, right in the Trainers of both its packages.

`pytorch_lightning` and `lightning` hold the same code twice, and the Trainer of each refuses the
modules of the other. Where both are installed, the classes here derive from both, and an object
takes over the hooks of the package whose Trainer it is given: a Trainer looks for hooks that differ
from its own package's. Where only `pytorch_lightning` is installed they are its classes.
"""

from functools import cache
from importlib.util import find_spec
from types import FunctionType, new_class
from typing import TYPE_CHECKING, Any

import pytorch_lightning

if TYPE_CHECKING:
    from pytorch_lightning import Callback as Callback
    from pytorch_lightning import LightningDataModule as LightningDataModule
    from pytorch_lightning import LightningModule as LightningModule
elif find_spec("lightning") is None:
    Callback = pytorch_lightning.Callback
    LightningDataModule = pytorch_lightning.LightningDataModule
    LightningModule = pytorch_lightning.LightningModule
else:
    import lightning.pytorch

    class _FollowsItsTrainer:
        """Has the hooks of the package of the Trainer that it was given last."""

        def __setattr__(self, name: str, value: Any) -> None:
            if name == "trainer" and value is not None:
                kind = _importable(type(self))
                is_lightning = isinstance(value, lightning.pytorch.Trainer)
                self.__class__ = _with_lightnings_hooks(kind) if is_lightning else kind
            super().__setattr__(name, value)

        def __reduce_ex__(self, protocol: Any) -> Any:
            # Pickles name the class that can be imported; copies follow their own Trainer.
            _, _, *state = super().__reduce_ex__(protocol)
            return object.__new__, (_importable(type(self)),), *state

    class LightningModule(
        _FollowsItsTrainer, pytorch_lightning.LightningModule, lightning.pytorch.LightningModule
    ):
        """A LightningModule for the Trainers of both packages."""

    class LightningDataModule(
        _FollowsItsTrainer,
        pytorch_lightning.LightningDataModule,
        lightning.pytorch.LightningDataModule,
    ):
        """A LightningDataModule for the Trainers of both packages."""

    class Callback(pytorch_lightning.Callback, lightning.pytorch.Callback):
        """A Callback for the Trainers of both packages, which look for no differences in it."""

    _IMPORTABLE = "_importable_class"

    def _importable(kind: type) -> type:
        """The class as its module has it."""
        return vars(kind).get(_IMPORTABLE, kind)

    @cache
    def _with_lightnings_hooks(plain: type) -> type:
        """A subclass in which what `plain` has from pytorch_lightning is lightning's."""
        body = {"__module__": plain.__module__, "__doc__": plain.__doc__, _IMPORTABLE: plain}
        for name in dir(plain):
            owners = [kind for kind in plain.__mro__ if name in vars(kind)]
            theirs = [kind for kind in owners if kind.__module__.startswith("lightning.")]
            from_pytorch_lightning = owners[0].__module__.startswith(
                ("pytorch_lightning.", "lightning_fabric.")
            )
            if theirs and from_pytorch_lightning and not name.startswith("__"):
                value = vars(theirs[0])[name]
                # Data are alike in both.
                if isinstance(value, FunctionType | property | classmethod):
                    body[name] = value
        return new_class(plain.__name__, (plain,), exec_body=lambda space: space.update(body))

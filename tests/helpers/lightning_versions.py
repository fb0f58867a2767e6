"""What the installed pytorch-lightning can be asked for."""

import inspect
from typing import Any

from pytorch_lightning import Trainer

#: To load a checkpoint without running code from it; before 2.6 nobody could ask for that.
WEIGHTS_ONLY: dict[str, Any] = (
    {"weights_only": True} if "weights_only" in inspect.signature(Trainer.fit).parameters else {}
)

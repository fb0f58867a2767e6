"""The values that settings by name may have; importing this imports no torch."""

from collections.abc import Mapping
from typing import Literal, get_args

Stem = Literal["imagenet", "small"]
STEMS: tuple[Stem, ...] = get_args(Stem)

Optimizer = Literal["sgd", "lars", "adamw"]
OPTIMIZERS: tuple[Optimizer, ...] = get_args(Optimizer)

MethodName = Literal[
    "simclr", "moco", "byol", "vicreg", "barlowtwins", "simsiam", "nnclr", "supcon", "dino"
]
METHODS: tuple[MethodName, ...] = get_args(MethodName)
#: Each method's class, in the module of df_heads.integrations that has the method's name.
METHOD_CLASSES: Mapping[MethodName, str] = {
    "simclr": "SimCLR",
    "moco": "MoCo",
    "byol": "BYOL",
    "vicreg": "VICReg",
    "barlowtwins": "BarlowTwins",
    "simsiam": "SimSiam",
    "nnclr": "NNCLR",
    "supcon": "SupCon",
    "dino": "DINO",
}

#: How a picture becomes a square: its central part is kept, or its sides are changed.
Resize = Literal["crop", "stretch"]
RESIZES: tuple[Resize, ...] = get_args(Resize)

#: Of Lightning's Trainer.
Precision = Literal["32-true", "bf16-mixed", "16-mixed"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)

LoggerName = Literal["csv", "tensorboard", "wandb"]
LOGGERS: tuple[LoggerName, ...] = get_args(LoggerName)

#: Of df_heads.integrations.export.TARGETS.
EXPORTS = ("timm", "torchvision", "onnx", "torch-export", "safetensors")

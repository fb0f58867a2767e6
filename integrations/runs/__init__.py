"""A run of ours as a folder: what was trained, how, on what, and its weights.

>>> from df_heads.integrations.runs import load_backbone, read_run
>>> run = read_run("runs/shapes")
>>> backbone, preprocessing = load_backbone(run)
>>> features = backbone(preprocessing(Image.open("new.jpg"))[None])  # (1, D)
"""

from df_heads.integrations.runs.preprocessing import Preprocessing
from df_heads.integrations.runs.reading import read_run
from df_heads.integrations.runs.run import (
    BackboneConfig,
    FeaturesConfig,
    HeadConfig,
    ImagesConfig,
    Run,
    RunConfig,
)
from df_heads.integrations.runs.weights import load_backbone, load_head, save_weights
from df_heads.integrations.runs.writing import write_config

__all__ = [
    "BackboneConfig",
    "FeaturesConfig",
    "HeadConfig",
    "ImagesConfig",
    "Preprocessing",
    "Run",
    "RunConfig",
    "load_backbone",
    "load_head",
    "read_run",
    "save_weights",
    "write_config",
]

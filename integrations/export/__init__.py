"""Trained backbones as files that other people's code loads, without df-heads.

>>> from df_heads.integrations.export import export_backbone
>>> export_backbone("runs/shapes", "timm").file
PosixPath('runs/shapes/export/timm/model.safetensors')
"""

from df_heads.integrations.export.exporting import Exported, export_backbone
from df_heads.integrations.export.targets import TARGETS, Target

__all__ = ["TARGETS", "Exported", "Target", "export_backbone"]

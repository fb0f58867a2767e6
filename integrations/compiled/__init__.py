"""SimCLR whose whole step has static shapes and reads nothing back, and so can be compiled.

>>> from df_heads.integrations.compiled import CompiledSimCLR, IndexedImages
"""

from df_heads.integrations.compiled.device_images import DeviceImages
from df_heads.integrations.compiled.gradient_step import GradientStep
from df_heads.integrations.compiled.indexed_images import IndexedImages
from df_heads.integrations.compiled.simclr import CompiledSimCLR

__all__ = ["CompiledSimCLR", "DeviceImages", "GradientStep", "IndexedImages"]

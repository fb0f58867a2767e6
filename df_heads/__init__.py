"""Projection heads that attend over the batch.

>>> from df_heads import TransformerProjectionHead

The method is that of "Deep Fusion: Capturing Dependencies in Contrastive Learning via Transformer
Projection Heads" (arXiv 2403.18681).
"""

from df_heads.heads import FeedForwardProjectionHead, TransformerProjectionHead
from df_heads.presets import HEAD_PRESETS, build_head

__version__ = "0.1.0"

__all__ = [
    "HEAD_PRESETS",
    "FeedForwardProjectionHead",
    "TransformerProjectionHead",
    "build_head",
]

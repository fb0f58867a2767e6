"""Projection heads that attend over the batch.

>>> from df_heads import TransformerProjectionHead

The method is that of "Deep Fusion: Capturing Dependencies in Contrastive Learning via Transformer
Projection Heads" (arXiv 2403.18681).
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from df_heads.heads import FeedForwardProjectionHead as FeedForwardProjectionHead
    from df_heads.heads import TransformerProjectionHead as TransformerProjectionHead
    from df_heads.presets import HEAD_PRESETS as HEAD_PRESETS
    from df_heads.presets import build_head as build_head
    from df_heads.presets import create_head as create_head
    from df_heads.presets import list_heads as list_heads

__version__ = "0.2.0"

__all__ = [
    "HEAD_PRESETS",
    "FeedForwardProjectionHead",
    "TransformerProjectionHead",
    "build_head",
    "create_head",
    "list_heads",
]

# Imported when first asked for: `--help` and a mistyped flag need no torch.
_HOMES = {
    "HEAD_PRESETS": "df_heads.presets",
    "FeedForwardProjectionHead": "df_heads.heads",
    "TransformerProjectionHead": "df_heads.heads",
    "build_head": "df_heads.presets",
    "create_head": "df_heads.presets",
    "list_heads": "df_heads.presets",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_HOMES[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})

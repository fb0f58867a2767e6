"""A head as plain data, and back."""

from torch import nn

import df_heads
from df_heads import FeedForwardProjectionHead, TransformerProjectionHead
from df_heads.integrations.errors import InputError
from df_heads.integrations.runs.run import HeadConfig

_CLASSES = {kind.__name__: kind for kind in (TransformerProjectionHead, FeedForwardProjectionHead)}
Head = TransformerProjectionHead | FeedForwardProjectionHead


def describe_head(head: nn.Module, name: str | None = None) -> HeadConfig:
    """What builds a head like this one.

    Args:
        head: One of df-heads' own.
        name: Its preset, if it has one.

    Raises:
        InputError: If it is somebody else's, which only its own code can build.
    """
    if not isinstance(head, Head):
        raise InputError(
            f"a {type(head).__name__} cannot be written down as plain data; only "
            f"{' and '.join(_CLASSES)} can."
        )
    return HeadConfig(name=name, class_name=type(head).__name__, options=head.options)


def build_described(config: HeadConfig) -> Head:
    """An untrained head as described.

    Raises:
        InputError: If this version has no such head.
    """
    kind = _CLASSES.get(config.class_name)
    if kind is None:
        raise InputError(
            f"the head {config.class_name} is none of df-heads {df_heads.__version__}; it has "
            f"{' and '.join(_CLASSES)}."
        )
    try:
        return kind(**config.options)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"a {config.class_name} cannot be built from {config.options} ({error}); the run's "
            "config.json is damaged, or from another version."
        ) from error

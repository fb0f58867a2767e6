"""What it looks like when another process of a run on several devices is gone."""

import re

from torch.distributed import DistError

# gloo raises a plain RuntimeError.
_SIGNS = re.compile(
    r"connection (was )?(closed|reset|refused)|broken pipe|socket ?timeout|gloo|nccl", re.IGNORECASE
)


def lost_process(error: RuntimeError) -> str | None:
    """One sentence if the error means that another process of the run is gone; else None."""
    if not isinstance(error, DistError) and _SIGNS.search(str(error)) is None:
        return None
    return (
        "another process of this run is gone (killed, or out of memory); the same command goes on "
        "from the last checkpoint."
    )

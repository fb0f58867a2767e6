"""Names of heads, "<family>-<size>" such as "transformer-self-small", and of files."""

import re

SIZES = ("small", "large")
#: What the paper compares with, and the Transformer head with its attention switched off.
BASELINE, CONTROL = "feedforward", "transformer-self"
#: Attends to everybody alike, so it finds nobody.
UNIFORM = "transformer-uniform"
#: Heads in words; "attention off", "tied attention" and "uniform attention" are the Transformer's.
_SPOKEN = {
    BASELINE: "feed-forward head",
    "lightly": "lightly's head",
    "transformer": "Transformer",
    CONTROL: "attention off",
    "transformer-tied": "tied attention",
    UNIFORM: "uniform attention",
    "transformer-stable": "stable Transformer",
    "transformer-stable-self": "stable, attention off",
    "transformer-stable-tied": "stable, tied attention",
    "transformer-stable-uniform": "stable, uniform attention",
}


def spoken(name: str) -> str:
    """A family of heads in words; anything else as it is."""
    return _SPOKEN.get(name, name)


def family(head: str) -> str:
    """A preset's name without its size; "untrained" is its own."""
    return head.rpartition("-")[0] or head


def size_of(head: str) -> str:
    """A preset's size; empty for "untrained"."""
    name, _, size = head.rpartition("-")
    return size if name else ""


def file_name(text: str) -> str:
    """The text with everything but letters, digits, "_", "." and "-" replaced by "-"."""
    return re.sub(r"[^\w.-]+", "-", text, flags=re.ASCII).lstrip(".-")

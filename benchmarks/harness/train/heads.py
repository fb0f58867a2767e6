"""The heads of the benchmarks by family; importing this imports no torch, building one does."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from df_heads.benchmarks.harness.base.names import SIZES, family, size_of
from df_heads.benchmarks.harness.base.registry import Registry, import_path
from df_heads.presets import HEAD_PRESETS, build_head

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class HeadFamily:
    """A head in the paper's sizes.

    Attributes:
        build: From a size, the width of the backbone's features, and keyword arguments that win
            over those of the size, to the head.
        preset: Whether df_heads.build_head, and so every method, knows it by name.
        told_classes: Whether it is trained as an oracle that is told the classes, see class_oracle.
    """

    build: Callable[..., "nn.Module"]
    preset: bool = False
    told_classes: bool = False


# Hidden and output width of lightly's head of two linear layers with BatchNorm behind both.
_LIGHTLY_WIDTHS: Mapping[str, tuple[int, int]] = {
    # As in lightly's CIFAR-10 benchmark, docs/source/getting_started/benchmarks.
    "small": (512, 128),
    # As in lightly's example, examples/pytorch_lightning/simclr.py.
    "large": (2048, 2048),
}
#: Hidden and output width of a head from outside: those of the paper's Transformer heads.
OUTSIDE_WIDTHS: Mapping[str, int] = {"small": 128, "large": 256}


# Family -> the preset family it is made from, and what exchanges each block, see altered_heads.
_ALTERED: Mapping[str, tuple[str, str]] = {
    "feedforward-residual": ("transformer", "no_attention:without_attention"),
    "transformer-self-centred": ("transformer-self", "batch_statistics:centre_before"),
    "transformer-self-batchnorm": ("transformer-self", "batch_statistics:normalise_before"),
    "transformer-uniform-detached": ("transformer-uniform", "attentions:DetachedTokens.put_into"),
    "transformer-stopped": ("transformer", "attentions:StoppedWeights.put_into"),
    "transformer-random-keys": ("transformer", "attentions:RandomKeys.put_into"),
    "transformer-half": ("transformer", "attentions:HalfBatch.put_into"),
    "transformer-top8": ("transformer", "attentions:MostSimilar.put_into"),
    "transformer-previous": ("transformer", "previous_batch:PreviousBatch.put_into"),
}


def _lightly(size: str, input_dim: int, **options: Any) -> "nn.Module":
    from lightly.models.modules import SimCLRProjectionHead

    hidden_dim, output_dim = _LIGHTLY_WIDTHS[size]
    widths = {"hidden_dim": hidden_dim, "output_dim": output_dim}
    head: nn.Module = SimCLRProjectionHead(input_dim, **{**widths, **options})
    return head


def _from_preset(name: str) -> HeadFamily:
    def build(size: str, input_dim: int, **options: Any) -> "nn.Module":
        return build_head(f"{name}-{size}", input_dim, **options)

    return HeadFamily(build, preset=True)


def _altered(preset: str, exchange: str) -> HeadFamily:
    def build(size: str, input_dim: int, **options: Any) -> "nn.Module":
        from torch.nn import ModuleList

        replace = import_path(f"df_heads.benchmarks.harness.altered_heads.{exchange}")
        head: Any = build_head(f"{preset}-{size}", input_dim, **options)
        head.blocks = ModuleList(replace(block) for block in head.blocks)
        return head  # type: ignore[no-any-return]

    return HeadFamily(build)


def _oracle(size: str, input_dim: int, **options: Any) -> "nn.Module":
    return build_head(f"transformer-{size}", input_dim, **options)


def _from_outside(name: str, found: Any) -> HeadFamily:
    """A callable (input_dim, hidden_dim, output_dim, **options) -> nn.Module."""
    if not callable(found):
        raise TypeError(f"it is a {type(found).__name__}, not a class or function")

    def build(size: str, input_dim: int, **options: Any) -> "nn.Module":
        width = OUTSIDE_WIDTHS[size]
        widths = {"hidden_dim": width, "output_dim": width, **options}
        head = found(input_dim, widths.pop("hidden_dim"), widths.pop("output_dim"), **widths)
        _check_output(name, head, input_dim, options.get("output_dim", width))
        return head  # type: ignore[no-any-return]

    return HeadFamily(build)


def _check_output(name: str, head: Any, input_dim: int, output_dim: int) -> None:
    import torch

    if not isinstance(head, torch.nn.Module):
        raise ValueError(f"The head {name!r} gives a {type(head).__name__}, not a torch nn.Module.")
    training = head.training
    with torch.no_grad():
        shape = tuple(head.eval()(torch.zeros(2, input_dim)).shape)
    head.train(training)
    if shape != (2, output_dim):
        raise ValueError(
            f"The head {name!r} turns features (2, {input_dim}) into {shape}, not "
            f"(2, {output_dim}): it must give one vector of output_dim for each sample."
        )


#: Family -> head. Their names in an Experiment are "<family>-<size>".
HEADS: Registry[HeadFamily] = Registry("head", _from_outside, group="df_heads.heads")
for _name in dict.fromkeys(map(family, HEAD_PRESETS)):
    HEADS.add(_name, _from_preset(_name))
HEADS.add("lightly", HeadFamily(_lightly))
for _name, _parts in _ALTERED.items():
    HEADS.add(_name, _altered(*_parts))
HEADS.add("transformer-oracle", HeadFamily(_oracle, told_classes=True))


def build_named_head(name: str, input_dim: int, **options: Any) -> "nn.Module":
    """Build a head.

    Args:
        name: "<family>-<size>", the family one of HEADS.
        input_dim: Width of the backbone's features.
        options: Keyword arguments of the head's class; they win over the preset's.

    Raises:
        InputError: If there is no such head.
        ValueError: If it does not take an option or its value, or is not what a head should be.
    """
    size = size_of(name)
    if size not in SIZES:
        raise ValueError(f"The head {name!r} must end in one of -{', -'.join(SIZES)}.")
    try:
        return HEADS.find(family(name)).build(size, input_dim, **options)
    except TypeError as error:
        raise ValueError(
            f"The head {name!r} does not take the options {options} ({error}); leave out those "
            "that are not its arguments."
        ) from error

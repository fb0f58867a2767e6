"""All measures of Deep Fusion over a whole head, layer by layer, on one labelled batch."""

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from df_heads.fusion._measurable import check_batch, check_finite, find_head
from df_heads.fusion._summary_table import summary_table
from df_heads.fusion._undisturbed import undisturbed
from df_heads.fusion.measures import attention_entropy, same_class_mass, sharpness
from df_heads.fusion.recording import record_attention
from df_heads.fusion.tokens import neighbor_purity, silhouette

# One pair decides an infimum; this share of the pairs at either end decides nothing here.
SHARPNESS_QUANTILE = 0.05


@dataclass(frozen=True)
class LayerFusion:
    """The measures of one layer; lists hold one number per attention head.

    Numbers are averaged over sequences. None is a number that is not defined: no mass on others
    where tokens attend to themselves only, no sharpness where it is 0 / 0.

    Attributes:
        same_class_mass: SameClassMass.others, to be read beside FusionSummary.chance.
        own_mass: SameClassMass.own.
        pair_mass: SameClassMass.pair; None without pairs.
        sharpness: Definition 2 as printed, which one pair of tokens decides.
        sharpness_quantile: Its robust form, ``sharpness(..., quantile=0.05)``.
        entropy: attention_entropy, in nats.
        silhouette: Of the tokens that leave the layer's block.
        neighbor_purity: Of the same tokens. Its chance level is that of same_class_mass
            without pairs.
    """

    same_class_mass: list[float | None]
    own_mass: list[float | None]
    pair_mass: list[float | None] | None
    sharpness: list[float | None]
    sharpness_quantile: list[float | None]
    entropy: list[float | None]
    silhouette: float
    neighbor_purity: float


@dataclass(frozen=True)
class FusionSummary:
    """The measures of a whole head on one batch, as plain numbers.

    Attributes:
        layers: One entry per block, the first block first.
        chance: same_class_mass of uniform attention.
        tokens: Tokens per sequence.
        classes: Classes among them.
        input_silhouette: Of the tokens that enter the first block.
        input_neighbor_purity: Of the same tokens.
    """

    layers: list[LayerFusion]
    chance: float
    tokens: int
    classes: int
    input_silhouette: float
    input_neighbor_purity: float

    def __str__(self) -> str:
        """A table: one row per layer, numbers averaged over the attention heads."""
        return summary_table(self)

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON; an infinite sharpness, which JSON lacks, becomes "inf"."""
        data = asdict(self)
        for layer in data["layers"]:
            for name in ("sharpness", "sharpness_quantile"):
                layer[name] = ["inf" if value == math.inf else value for value in layer[name]]
        return data

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "FusionSummary":
        """The summary that as_dict wrote, also after a round trip through JSON."""
        layers = []
        for entry in data["layers"]:
            layer = dict(entry)
            for name in ("sharpness", "sharpness_quantile"):
                layer[name] = [None if value is None else float(value) for value in layer[name]]
            layers.append(LayerFusion(**layer))
        return cls(**{**data, "layers": layers})


def measure_fusion(
    model: nn.Module,
    x: Tensor,
    labels: Tensor,
    *,
    pairs: Tensor | None = None,
    max_gib: float = 1.0,
) -> FusionSummary:
    """Measure every layer of a Transformer projection head on one labelled batch.

    >>> from df_heads import TransformerProjectionHead
    >>> head = TransformerProjectionHead.small(input_dim=512)
    >>> features, labels = torch.randn(32, 512), torch.arange(32) % 4
    >>> summary = measure_fusion(head, features, labels)
    >>> len(summary.layers), round(summary.chance, 3)
    (5, 0.226)
    >>> len(summary.layers[-1].same_class_mass)  # one for each attention head
    8
    >>> print(summary)  # doctest: +SKIP

    A forward that stops before the head, as those of SimCLR, MoCo, BYOL and lightly's benchmarks
    do, gives the features that enter it: the head then runs on what the model returned::

        measure_fusion(SimCLR(), images, labels)

    It runs in eval mode without gradients, draws no random numbers, puts each module's training
    flag back, leaves no hooks behind, and holds the attention maps of one layer at a time. A head
    with gather_distributed looks at this process's batch alone. Compiled models work from torch
    2.6 on.

    Args:
        model: A TransformerProjectionHead, or a module that holds one and either runs it once in
            its forward or returns the features (N, input_dim) that enter it. Heads of which no
            parameter requires a gradient, such as a teacher's, do not count if there is one that
            trains.
        x: What the model takes: for a head features (N, D), or (S, N, D) for S sequences with
            the same labels, such as two views of the same images.
        labels: (N,), integers; each class at least twice.
        pairs: (N,), the index of each token's other view, for two views in one sequence; each
            class then at least three times.
        max_gib: The most the attention maps of one layer may take, in GiB; the measures need a
            few times as much while they are computed.

    Raises:
        TypeError: If labels or pairs is not a tensor.
        NonFiniteError: If tokens or attention weights are not finite. It is a ValueError.
        ValueError: If the model does not hold one head, runs it more than once, or neither runs
            it nor returns features of its width, labels or pairs do not fit, there are fewer than
            two classes, a class has too few samples, the maps would take more than ``max_gib``,
            or the head's sequence_length would cut the batch.
    """
    head = find_head(model)
    entered: list[Tensor] = []
    layers: list[LayerFusion] = []

    def enter(_block: nn.Module, args: tuple[Tensor, ...]) -> None:
        if entered:
            raise ValueError(
                f"the forward of {type(model).__name__} ran its projection head more than once but "
                "must run it once; pass the head itself, and as x the features that enter it."
            )
        check_batch(head, args[0], labels, pairs, max_gib)
        entered.append(args[0])

    def leave(layer: int, _block: nn.Module, _args: tuple[Tensor, ...], tokens: Tensor) -> None:
        # The model's autocast, if any, is not for the measures.
        with torch.autocast(tokens.device.type, enabled=False):
            layers.append(_measure_layer(f"layer {layer}", maps.pop(layer), tokens, labels, pairs))

    with (
        undisturbed(model),
        # check_batch has the limit: it is one layer's, as each is dropped once it is measured.
        record_attention(head, device=next(head.parameters()).device, max_gib=math.inf) as maps,
    ):
        handles = [head.blocks[0].register_forward_pre_hook(enter)]
        handles += [
            block.register_forward_hook(partial(leave, layer))
            for layer, block in enumerate(head.blocks)
        ]
        try:
            output = model(x)
            if not entered:
                head(_features(model, output, head.input_dim))
        finally:
            for handle in handles:
                handle.remove()
    with torch.autocast(entered[0].device.type, enabled=False):
        return _summarize(layers, entered[0], labels, pairs)


def _summarize(
    layers: list[LayerFusion], tokens: Tensor, labels: Tensor, pairs: Tensor | None
) -> FusionSummary:
    count = tokens.shape[1]
    uniform = torch.ones(count, count, device=tokens.device)
    return FusionSummary(
        layers=layers,
        chance=same_class_mass(uniform, labels, pairs).chance,
        tokens=count,
        classes=len(torch.unique(labels)),
        input_silhouette=_over_sequences(silhouette, tokens, labels),
        input_neighbor_purity=_over_sequences(neighbor_purity, tokens, labels),
    )


def _measure_layer(
    name: str, maps: Tensor, tokens: Tensor, labels: Tensor, pairs: Tensor | None
) -> LayerFusion:
    check_finite(f"{name}'s attention", maps)
    check_finite(f"{name}'s output", tokens)
    mass = same_class_mass(maps, labels, pairs)
    return LayerFusion(
        same_class_mass=_per_head(mass.others),
        own_mass=_per_head(mass.own),
        pair_mass=None if mass.pair is None else _per_head(mass.pair),
        sharpness=_per_head(sharpness(maps, labels)),
        sharpness_quantile=_per_head(sharpness(maps, labels, SHARPNESS_QUANTILE)),
        entropy=_per_head(attention_entropy(maps)),
        silhouette=_over_sequences(silhouette, tokens, labels),
        neighbor_purity=_over_sequences(neighbor_purity, tokens, labels),
    )


def _per_head(values: Tensor) -> list[float | None]:
    """Means over the sequences of (S, heads)."""
    return [None if math.isnan(value) else value for value in values.mean(0).tolist()]


def _over_sequences(
    measure: Callable[[Tensor, Tensor], float], tokens: Tensor, labels: Tensor
) -> float:
    return sum(measure(sequence, labels) for sequence in tokens) / len(tokens)


def _features(model: nn.Module, output: object, width: int) -> Tensor:
    """What a model returned that did not run its head, as the head takes it."""
    if isinstance(output, Tensor) and output.dim() >= 2:
        features = output.flatten(start_dim=1)  # (N, D, 1, 1) of a backbone that pools
        if features.shape[1] == width:
            return features
        found = f"a tensor of shape {tuple(output.shape)}"
    else:
        found = type(output).__name__
    raise ValueError(
        f"the forward of {type(model).__name__} ran its projection head 0 times and returned "
        f"{found}, not features (N, {width}) for it; pass the head itself, and as x the features "
        "that enter it."
    )

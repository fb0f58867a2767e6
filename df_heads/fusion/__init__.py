"""Measuring Deep Fusion: attention maps of any head, measures on them, and the paper's theory.

>>> import torch
>>> from df_heads import TransformerProjectionHead
>>> from df_heads.fusion import record_attention, same_class_mass
>>> head = TransformerProjectionHead.small(input_dim=512)
>>> features, labels = torch.randn(32, 512), torch.arange(32) % 4
>>> with record_attention(head) as maps:
...     z = head(features)
>>> same_class_mass(maps[0], labels).others.shape  # per sequence and head
torch.Size([1, 8])

``measure_fusion`` takes all measures of a whole head at once, layer by layer. One by one:
attention maps are measured by ``same_class_mass``, ``sharpness`` and ``attention_entropy``, token
embeddings by ``silhouette`` and ``neighbor_purity``, labelled samples in subspaces by
``cluster_integrity``.
"""

from df_heads.fusion._measurable import NonFiniteError
from df_heads.fusion.integrity import ClusterIntegrity, cluster_bases, cluster_integrity
from df_heads.fusion.measures import (
    SameClassMass,
    attention_entropy,
    same_class_mass,
    sharpness,
)
from df_heads.fusion.recording import AttentionMaps, record_attention
from df_heads.fusion.summary import (
    FusionSummary,
    LayerFusion,
    measure_fusion,
)
from df_heads.fusion.theory import noise_bounds, theorem1_weights, theorem2_factor
from df_heads.fusion.tokens import neighbor_purity, silhouette

__all__ = [
    "AttentionMaps",
    "ClusterIntegrity",
    "FusionSummary",
    "LayerFusion",
    "NonFiniteError",
    "SameClassMass",
    "attention_entropy",
    "cluster_bases",
    "cluster_integrity",
    "measure_fusion",
    "neighbor_purity",
    "noise_bounds",
    "record_attention",
    "same_class_mass",
    "sharpness",
    "silhouette",
    "theorem1_weights",
    "theorem2_factor",
]

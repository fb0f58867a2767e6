"""A layer that lets the samples of a batch see each other in training, and is absent afterwards."""

from typing import Any, overload

import torch
from torch import Tensor, nn

from df_heads._finite import check_below_one, check_counts
from df_heads._head_inputs import check_features
from df_heads.attention import BatchAttention
from df_heads.block import TransformerBlock


class BatchMixing(nn.Module):
    """BatchFormer's layer (arXiv 2203.01522, Section 3): features with and without mixing.

    In training the samples attend to each other, and what follows sees both: the features as they
    are, then the mixed ones, with the labels twice. So the classifier that both share works without
    the batch, and in evaluation mode the layer hands on what it was given.

    >>> import torch
    >>> mixing = BatchMixing(64)
    >>> features, labels = mixing(torch.randn(32, 64), torch.zeros(32, dtype=torch.long))
    >>> features.shape, labels.shape
    (torch.Size([64, 64]), torch.Size([64]))
    >>> mixing.eval()(torch.randn(32, 64)).shape
    torch.Size([32, 64])

    Feature maps and tokens (N, L, D) are mixed position by position (BatchFormerV2, arXiv
    2204.01254): the batch goes onto the middle axis, and back. `nn.MultiheadAttention` without
    batch_first has another order; look at the shapes:

    >>> tokens = torch.randn(8, 49, 64)  # 8 images of 49 patches
    >>> mixing.train()(tokens.transpose(0, 1)).transpose(0, 1).shape  # 49 sequences of 8 samples
    torch.Size([16, 49, 64])

    Args:
        dim: Width of the features.
        num_layers: Transformer blocks (paper: 1).
        num_heads: Attention heads (the paper's code: 4); dim must be a multiple of it.
        mlp_ratio: Width of the feed-forward network over dim (the paper's code: 1).
        dropout: Dropout probability (the paper's code: 0.5).

    Raises:
        TypeError: If a value is no number.
        ValueError: If a size is not positive, dim is no multiple of num_heads, or dropout is
            outside [0, 1).
    """

    def __init__(
        self,
        dim: int,
        num_layers: int = 1,
        *,
        num_heads: int = 4,
        mlp_ratio: int = 1,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        check_counts(dim=dim, num_layers=num_layers, num_heads=num_heads, mlp_ratio=mlp_ratio)
        check_below_one(dropout=dropout)
        if dim % num_heads:
            raise ValueError(
                f"dim={dim} must be a multiple of num_heads={num_heads}; choose another num_heads."
            )
        self.dim = dim
        self.blocks = nn.ModuleList(
            TransformerBlock(
                dim,
                mlp_ratio * dim,
                BatchAttention(
                    dim, num_heads=num_heads, head_dim=dim // num_heads, dropout=dropout
                ),
                dropout=dropout,
            )
            for _ in range(num_layers)
        )

    @overload
    def forward(self, x: Tensor) -> Tensor: ...

    @overload
    def forward(self, x: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]: ...

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor | tuple[Tensor, Tensor]:
        """Add the mixed features in training; hand everything on in evaluation mode.

        Args:
            x: Features (N, dim), or S independent sequences (S, N, dim).
            labels: One row per sample, (N, ...); None if there are none.

        Returns:
            In training (2 N, dim) or (S, 2 N, dim), those of x first, and labels (2 N, ...); in
            evaluation mode x and labels. Without labels the features alone.

        Raises:
            TypeError: If x is no tensor.
            ValueError: If the shape or dtype of x, or the number of labels, does not fit.
        """
        first: Any = self.blocks[0]
        check_features(x, self.dim, first.mlp[0])
        if labels is not None and len(labels) != x.shape[-2]:
            raise ValueError(
                f"There are {len(labels)} labels for {x.shape[-2]} samples; give one for each. Of "
                f"tokens (N, L, {self.dim}) the samples must be on the middle axis: "
                "x.transpose(0, 1)."
            )
        if self.training:
            mixed = x if x.dim() == 3 else x.unsqueeze(0)
            for block in self.blocks:
                mixed = block(mixed)
            x = torch.cat([x, mixed.view(x.shape)], dim=-2)
            labels = None if labels is None else torch.cat([labels, labels])
        return x if labels is None else (x, labels)

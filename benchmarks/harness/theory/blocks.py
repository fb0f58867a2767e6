"""The stack of attention blocks of the paper's theory, built from the package's own attention."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from df_heads.attention import BatchAttention
from df_heads.fusion import record_attention


class TheoryBlocks(nn.Module):
    """Blocks X <- softmax(A) X with A = (XW)(XW)^T, each token brought back to unit length.

    As in the proof of Theorem 2: W_Q = W_K = W in every block, the identity for values, the
    scores not divided by sqrt(d_k), and unit length in place of "the normalisation [that] can be
    easily eliminated by the subsequent feed-forward layer". The proof has no residual connection
    and says that one changes nothing.

    Args:
        weights: W (m, n), float64, as from ``theorem1_weights``.
        blocks: How many.
        residual: X + softmax(A) X instead of softmax(A) X.
    """

    def __init__(self, weights: Tensor, blocks: int, *, residual: bool = False) -> None:
        super().__init__()
        width = len(weights)
        # A depends on W W^T alone: m columns carry it whatever the number of samples.
        left, singular, _ = torch.linalg.svd(weights, full_matrices=False)
        factor = F.pad(left * singular, (0, width - len(singular)))
        identity = torch.eye(width).to(weights)
        # The attention divides the scores by the square root of its head_dim, which is m here.
        projection = factor.mT * width**0.25
        self.residual = residual
        self.layers = nn.ModuleList()
        for _ in range(blocks):
            layer = BatchAttention(width, num_heads=1, head_dim=width).to(weights)
            with torch.no_grad():
                layer.to_qkv.weight.copy_(torch.cat([projection, projection, identity]))
                layer.to_out.weight.copy_(identity)
                layer.to_out.bias.zero_()
            self.layers.append(layer)

    def forward(self, x: Tensor) -> Tensor:
        """The tokens that enter each block, (blocks, n, m), of tokens (n, m)."""
        entering = []
        for layer in self.layers:
            entering.append(x)
            mixed = layer(x[None])[0]
            x = F.normalize(x + mixed if self.residual else mixed, dim=1)
        return torch.stack(entering)


@torch.no_grad()
def block_maps(
    tokens: Tensor, weights: Tensor, blocks: int, *, residual: bool = False
) -> tuple[Tensor, Tensor]:
    """Scores A and attention softmax(A) of each block, both (blocks, n, n)."""
    stack = TheoryBlocks(weights, blocks, residual=residual)
    with record_attention(stack) as maps:
        entering = stack(tokens)
    attention = torch.stack([maps[block][0, 0] for block in range(blocks)])
    return scores(entering, weights), attention


def scores(tokens: Tensor, weights: Tensor) -> Tensor:
    """A = (XW)(XW)^T, (..., n, n)."""
    transformed = tokens @ weights
    return transformed @ transformed.mT

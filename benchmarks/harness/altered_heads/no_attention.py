"""A feed-forward head with the Transformer's residuals, LayerNorms and number of parameters."""

from typing import Any

from torch import Tensor, nn

from df_heads.block import TransformerBlock


class TokenwiseSublayer(nn.Module):
    """A feed-forward network in the place of an attention, each token by itself.

    Args:
        dim: Width of the tokens.
        parameters: About how many parameters it is to have; it misses them by less than `dim`.
    """

    def __init__(self, dim: int, parameters: int) -> None:
        super().__init__()
        # A hidden unit has dim weights in, a bias and dim weights out; then there are dim biases.
        hidden = max(1, round((parameters - dim) / (2 * dim + 1)))
        self.layers = nn.Sequential(nn.Linear(dim, hidden), nn.GELU(), nn.Linear(hidden, dim))

    def forward(self, x: Tensor, *_: Any) -> Tensor:
        """Map tokens (S, N, dim) to such tokens; masks and peers have no meaning here."""
        mapped: Tensor = self.layers(x)
        return mapped


def without_attention(block: TransformerBlock) -> nn.Module:
    """The block with a feed-forward network of equal parameters in the place of its attention."""
    parameters = sum(parameter.numel() for parameter in block.attention.parameters())
    dim = block.attention.to_out.out_features
    block.add_module("attention", TokenwiseSublayer(dim, parameters))
    return block

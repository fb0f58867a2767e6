"""What mixing by the mean may come down to: centring, or BatchNorm, before each block."""

from torch import Tensor, nn

from df_heads.batch_norm import SequenceBatchNorm
from df_heads.block import TransformerBlock
from df_heads.gathering import Peers


class CentredTokens(nn.Module):
    """Tokens (S, N, dim) without the mean of their sequence; it has no parameters."""

    def forward(self, x: Tensor) -> Tensor:
        """Subtract the mean over the N tokens."""
        return x - x.mean(dim=-2, keepdim=True)


class BeforeBlock(nn.Module):
    """A module before a block.

    Args:
        before: From tokens (S, N, dim) to such tokens.
        block: The block.
    """

    def __init__(self, before: nn.Module, block: TransformerBlock) -> None:
        super().__init__()
        self.before = before
        self.block = block

    def forward(
        self, x: Tensor, attn_mask: Tensor | None = None, peers: Peers | None = None
    ) -> Tensor:
        """See TransformerBlock."""
        tokens: Tensor = self.block(self.before(x), attn_mask, peers)
        return tokens


def centre_before(block: TransformerBlock) -> nn.Module:
    """The block behind a subtraction of the batch mean."""
    return BeforeBlock(CentredTokens(), block)


def normalise_before(block: TransformerBlock) -> nn.Module:
    """The block behind a BatchNorm over its sequence, with scale and shift."""
    return BeforeBlock(SequenceBatchNorm(block.attention.to_out.out_features), block)

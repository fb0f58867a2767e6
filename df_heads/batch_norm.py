"""BatchNorm over the samples of a sequence."""

import torch
from torch import Tensor, nn

from df_heads.gathering import Peers


class SequenceBatchNorm(nn.BatchNorm1d):
    """BatchNorm1d whose statistics are those of one sequence, never of several.

    Views that are stacked to (S, N, dim) are normalised as in S calls, as lightly's heads are
    called once for each view. With peers the sequence is that of all processes, as in
    SyncBatchNorm, but on any device.

    Args:
        num_features: Width of the tokens.
    """

    def forward(self, x: Tensor, peers: Peers | None = None) -> Tensor:
        """Normalise tokens (S, N, dim) in training by their own sequence, else by the averages.

        Args:
            x: Tokens of this process.
            peers: The processes whose tokens belong to the sequences; None for this one's only.

        Raises:
            ValueError: If there is a single token to train on.
        """
        normalise = super().forward
        if not self.training:
            return normalise(x.flatten(0, 1)).view(x.shape)
        tokens = x if peers is None else peers.gather(x).tokens
        if tokens.shape[1] == 1:
            raise ValueError(
                "BatchNorm cannot train on a batch of 1 sample; use at least 2, eval(), or a head "
                'without BatchNorm: form="paper" and an input_norm other than "batch".'
            )
        normalised = torch.stack([normalise(sequence) for sequence in tokens])
        return normalised if peers is None else normalised[:, peers.own]

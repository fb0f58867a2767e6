"""Tokens of all processes, for a head whose sequence spans them."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch import distributed as dist
from torch.autograd.function import once_differentiable
from torch.nn import functional as F


@dataclass(frozen=True)
class GatheredTokens:
    """The tokens of all processes, in rank order.

    Attributes:
        tokens: (S, M, dim), M the number of tokens of all processes.
        own: Which of the M are this process's.
    """

    tokens: Tensor
    own: slice


@dataclass(frozen=True)
class Peers:
    """The processes that attend to each other's tokens in one forward pass.

    Attributes:
        lengths: Tokens of each process per sequence, in rank order.
        rank: This process.
    """

    lengths: tuple[int, ...]
    rank: int

    @property
    def own(self) -> slice:
        """Which of the tokens of all processes are this one's."""
        start = sum(self.lengths[: self.rank])
        return slice(start, start + self.lengths[self.rank])

    def gather(self, x: Tensor) -> GatheredTokens:
        """Gather this process's tokens (S, N, dim) with those of its peers, differentiably.

        The gradient of a process's tokens is the sum over all processes of what reached them
        there, so the parameters' gradients, summed over the processes (or averaged, as
        DistributedDataParallel does), are those of the sum (or the mean) of their losses.
        """
        # Collectives need equal sizes; the padding is cut off again, so nothing attends to it.
        padded = F.pad(x, (0, 0, 0, max(self.lengths) - x.shape[-2]))
        parts = gather_equal(padded)
        tokens = torch.cat([part[:, :n] for part, n in zip(parts, self.lengths, strict=True)], -2)
        return GatheredTokens(tokens, self.own)


def process_count() -> int:
    """Processes of torch.distributed; 1 where it is not initialised."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def process_rank() -> int:
    """This process's rank in torch.distributed; 0 where it is not initialised."""
    return dist.get_rank() if dist.is_available() and dist.is_initialized() else 0


def gather_equal(x: Tensor) -> Tensor:
    """Stack a tensor (N, ...) with those of all processes, in rank order: (R, N, ...).

    The gradient of a process's tensor is the sum over all processes of what reached it there.
    All processes must call it together, with tensors of equal shape.
    """
    parts: Tensor = _AllGather.apply(x)
    return parts


def meet_peers(x: Tensor, attn_mask: Tensor | None) -> Peers:
    """Tell the other processes the sizes of this one's batch, and learn theirs.

    All processes must call it, or `refuse_peers`, together. Sizes are exchanged each time because a
    process cannot know that another's batch is shorter, and a collective on unequal sizes hangs.

    Args:
        x: Tokens of this process, (S, N, dim).
        attn_mask: Mask of this process, (..., N, M) with M the tokens of all processes, or None.

    Raises:
        ValueError: On all processes alike, if one of them refused its batch, if their numbers of
            sequences differ, or if the mask of one has other than M columns.
    """
    columns = 0 if attn_mask is None else attn_mask.shape[-1]
    sizes = _exchange([*x.shape[:2], columns], x.device)
    sequences, lengths, mask_columns = zip(*sizes, strict=True)
    if 0 in sequences:
        raise ValueError(
            f"The head refused the batch of rank {sequences.index(0)} (that process says why); "
            "with gather_distributed=True no process can go on without the others' tokens."
        )
    if len(set(sequences)) > 1:
        raise ValueError(
            f"The processes hold {list(sequences)} sequences, in rank order; with "
            "gather_distributed=True sequence s of a process joins sequence s of the others, so "
            "give the head as many views on each."
        )
    for rank, columns in enumerate(mask_columns):
        if columns not in (0, sum(lengths)):
            raise ValueError(
                f"The attn_mask of rank {rank} has {columns} columns; with gather_distributed=True "
                f"it must have one for each of the {list(lengths)} tokens of the processes, in "
                f"rank order: {sum(lengths)}."
            )
    return Peers(lengths, dist.get_rank())


def refuse_peers(device: torch.device) -> None:
    """Tell the other processes, which wait in `meet_peers`, that this one's batch is unusable."""
    _exchange([0, 0, 0], device)


def _exchange(sizes: list[int], device: torch.device) -> list[list[int]]:
    own = torch.tensor([sizes], device=device)
    gathered = own.new_empty(process_count(), len(sizes))
    dist.all_gather_into_tensor(gathered, own)
    return gathered.tolist()


class _AllGather(torch.autograd.Function):
    """(S, N, dim) of each of R processes to (R, S, N, dim) on all of them."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        parts = x.new_empty(process_count() * x.shape[0], *x.shape[1:])
        dist.all_gather_into_tensor(parts, x.contiguous())
        return parts.view(-1, *x.shape)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        own = grad.new_empty(grad.shape[1:])
        dist.reduce_scatter_tensor(own, grad.flatten(0, 1).contiguous())
        return own

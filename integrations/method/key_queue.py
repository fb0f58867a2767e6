"""A queue of the newest keys, for MoCo's negatives and NNCLR's neighbours."""

import torch
from lightly.models.utils import concat_all_gather
from lightly.utils.dist import world_size
from torch import Tensor, nn
from torch.nn.functional import normalize


class KeyQueue(nn.Module):
    """The newest `size` keys, normalised; starts with random ones. Part of the state_dict.

    Unlike lightly's MemoryBankModule, which NTXentLoss and NNMemoryBankModule bring along, it is
    saved with the model, keeps every key when it wraps around, and is not copied in every step.

    Args:
        size: Number of keys.
        dim: Width of a key.

    Attributes:
        keys: (size, dim).
        pointer: Row of the oldest key, which the next one replaces.
    """

    keys: Tensor
    pointer: Tensor

    def __init__(self, size: int, dim: int) -> None:
        super().__init__()
        self.register_buffer("keys", normalize(torch.randn(size, dim), dim=1))
        self.register_buffer("pointer", torch.zeros((), dtype=torch.long))

    @torch.no_grad()
    def enqueue(self, keys: Tensor) -> None:
        """Replace the oldest keys by these, (N, dim), which are normalised first."""
        rows = self.pointer + torch.arange(len(keys), device=self.pointer.device)
        self.keys[rows % len(self.keys)] = normalize(keys, dim=1).to(self.keys.dtype)
        self.pointer.copy_((self.pointer + len(keys)) % len(self.keys))

    @torch.no_grad()
    def enqueue_everywhere(self, keys: Tensor) -> None:
        """As enqueue, the keys of all processes in each: their queues stay equal."""
        self.enqueue(concat_all_gather(keys) if world_size() > 1 else keys)


def check_queue_size(queue_size: int, least: int, why: str) -> None:
    """Check the size of a queue.

    Raises:
        ValueError: If it is no whole number of at least this, with the reason for that.
    """
    if isinstance(queue_size, bool) or not isinstance(queue_size, int) or not queue_size >= least:
        raise ValueError(
            f"queue_size={queue_size!r} must be a whole number of at least {least}, {why}."
        )

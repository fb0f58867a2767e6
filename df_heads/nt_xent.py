"""NT-Xent whose memory does not grow with the square of the batch."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from df_heads._finite import check_above_zero, check_counts
from df_heads.gathering import gather_equal, process_count, process_rank


class ChunkedNTXentLoss(nn.Module):
    r"""NT-Xent (SimCLR, arXiv 2002.05709, Equation 1), some rows of similarities at a time.

    The value and the gradients are exact, those of lightly's `NTXentLoss` without a memory bank,
    whose arguments these are. The 2N x 2N similarities of N images are never held: memory is
    O(chunk_size * N) in the forward and the backward pass. With z normalised, p the softmax over
    all samples but i itself and i' the other view of i,

    .. math:: \frac{\partial L}{\partial z_i}
        = \frac{1}{2 N \tau} \Big( \sum_j (p_{ij} + p_{ji}) z_j - 2 z_{i'} \Big)

    The loss is a scalar, so its gradient waits for nothing from later layers: it is computed
    chunk by chunk in the forward pass, which has the similarities at hand, and kept, (2N, d).

    >>> criterion = ChunkedNTXentLoss(temperature=0.2)
    >>> z0, z1 = torch.randn(2, 64, 128)  # two views, (N, d) each
    >>> criterion(z0, z1).shape
    torch.Size([])

    Args:
        temperature: Divides the cosine similarities (lightly: 0.5; the paper: 0.2).
        chunk_size: Rows of the similarities held at a time; each holds 2N numbers. It changes
            speed and memory, and results by rounding only.
        gather_distributed: Under torch.distributed, take the negatives of all processes, with
            gradients, as lightly does. All need equally many images (drop_last=True).

    Raises:
        ValueError: If temperature or chunk_size is not positive.
    """

    def __init__(
        self, temperature: float = 0.5, *, chunk_size: int = 1024, gather_distributed: bool = False
    ) -> None:
        super().__init__()
        check_above_zero(temperature=temperature)
        check_counts(chunk_size=chunk_size)
        self.temperature = temperature
        self.chunk_size = chunk_size
        self.gather_distributed = gather_distributed

    def forward(self, z0: Tensor, z1: Tensor) -> Tensor:
        """The loss of a batch.

        Args:
            z0: Projections of the first views, (N, d), not normalised.
            z1: Projections of the second views, in the same order, (N, d).

        Returns:
            The mean over this process's 2N samples, a scalar; float32, or float64 for float64
            projections. Half precision is converted: exp(1 / temperature) needs more than the 8
            bits of bfloat16. It can be differentiated once.

        Raises:
            TypeError: If the projections are no floating point tensors.
            ValueError: If the projections are not two matrices of equal shape, or are empty.
        """
        for z in (z0, z1):
            if not isinstance(z, Tensor) or not z.is_floating_point():
                kind = z.dtype if isinstance(z, Tensor) else type(z).__name__
                raise TypeError(f"The projections must be floating point tensors, not {kind}.")
        if z0.shape != z1.shape or z0.dim() != 2 or z0.numel() == 0:
            raise ValueError(
                f"The projections have shapes {tuple(z0.shape)} and {tuple(z1.shape)}; the loss "
                "takes two of equal shape (N, d), with at least one image."
            )
        with torch.autocast(z0.device.type, enabled=False):
            wide = torch.promote_types(z0.dtype, torch.float32)
            own = F.normalize(torch.cat([z0, z1]).to(wide), dim=1)
            if self.gather_distributed and process_count() > 1:
                gathered, start = gather_equal(own).flatten(0, 1), process_rank() * len(own)
            else:
                gathered, start = own, 0
            loss: Tensor = _NTXent.apply(
                gathered, slice(start, start + len(own)), self.temperature, self.chunk_size
            )
        return loss

    def extra_repr(self) -> str:
        """What the module shows of itself."""
        return f"temperature={self.temperature}, chunk_size={self.chunk_size}"


class _NTXent(torch.autograd.Function):
    """Of unit rows (2M, d): the mean over those of the slice `own`, 2N, its views in halves."""

    @staticmethod
    def forward(
        ctx: Any, gathered: Tensor, own: slice, temperature: float, chunk_size: int
    ) -> Tensor:
        samples = gathered[own]
        partners = samples.roll(len(samples) // 2, 0)
        # Each sample is a query and a key, and being partners is mutual: hence twice.
        gradient = torch.zeros_like(gathered)
        gradient[own] -= 2 * partners
        losses = []
        for first in range(0, len(samples), chunk_size):
            chunk = slice(first, first + chunk_size)
            z = samples[chunk]
            weights = (z / temperature) @ gathered.T
            weights.diagonal(own.start + first).fill_(-torch.inf)  # not its own negative
            largest = weights.amax(1)
            weights.sub_(largest[:, None]).exp_()
            sums = weights.sum(1)
            losses.append(sums.log() + largest - (z * partners[chunk]).sum(1) / temperature)
            if ctx.needs_input_grad[0]:
                # Dividing the (chunk, d) factors spares a pass over the (chunk, 2M) weights.
                gradient[own][chunk] += (weights @ gathered) / sums[:, None]
                gradient.addmm_(weights.T, z / sums[:, None])
        ctx.save_for_backward(gradient.div_(temperature * len(samples)))
        return torch.cat(losses).mean()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        # once_differentiable would let a second derivative pass where `grad` is a constant.
        if torch.is_grad_enabled() and not torch.compiler.is_compiling():
            raise RuntimeError(
                "ChunkedNTXentLoss has no second derivative, which create_graph=True asks for; use "
                "lightly's NTXentLoss there."
            )
        (gradient,) = ctx.saved_tensors
        return grad * gradient, None, None, None

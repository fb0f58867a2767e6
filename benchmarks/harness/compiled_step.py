"""SimCLR whose whole step has static shapes and reads nothing back, and so can be compiled."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from df_heads.benchmarks.harness.indexed_images import DeviceImages
from df_heads.integrations.simclr import SimCLR
from df_heads.integrations.small_maps import use_small_map_products

# Passes before a CUDA graph is recorded: compilation, kernel choice, memory.
WARM_UP = 3


class CompiledSimCLR(SimCLR):
    """SimCLR on batches of IndexedImages; give it `images` before it trains.

    Same weights, views, loss and updates as SimCLR up to rounding, and the same checkpoints. What
    differs: the images are on the device, both views are drawn in one compiled graph, tiny feature
    maps go through matrix products (integrations.small_maps), the optimiser is fused, and the loss
    is read once an epoch. On a GPU all but the fused update is one CUDA graph.
    """

    fused_optimizer = True
    images: DeviceImages

    def setup(self, stage: str) -> None:
        """Prepare the step; Lightning calls this before it builds the optimiser."""
        self.automatic_optimization = False
        use_small_map_products(self.backbone)
        self._loss: Callable[[Sequence[Tensor]], Tensor] = self.loss
        self._recorded: Callable[[Tensor, Tensor], Tensor] | None = None

    def on_train_epoch_start(self) -> None:
        """Start the mean of the epoch's losses."""
        self._losses: list[Tensor] = []

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """One whole step, the update included."""
        indices, uniforms = batch
        if self._recorded is None:
            self.check_batch_size(len(indices))
            cuda = indices.device.type == "cuda"
            self._recorded = self._record(indices, uniforms) if cuda else self._gradients
        loss = self._recorded(indices, uniforms)
        optimizer, scheduler = self.optimizers(), self.lr_schedulers()
        optimizer.step()  # type: ignore[union-attr]
        scheduler.step()  # type: ignore[union-attr]
        self._losses.append(loss)
        if self.trainer.is_last_batch:
            mean = torch.stack(self._losses).mean()
            self.log("train_loss_epoch", mean, on_step=True, on_epoch=False, prog_bar=False)
        return loss

    def _gradients(self, indices: Tensor, uniforms: Tensor) -> Tensor:
        """The loss; its clipped gradient goes to the parameters."""
        self.zero_grad(set_to_none=True)
        loss = self._loss(self.images(indices, uniforms))
        loss.backward()  # type: ignore[no-untyped-call]
        if self.gradient_clip is not None:
            clip_grad_norm_(self.parameters(), self.gradient_clip)
        return loss.detach()

    def _record(self, indices: Tensor, uniforms: Tensor) -> Callable[[Tensor, Tensor], Tensor]:
        """`_gradients` as a CUDA graph, which replays on the memory that it was recorded with."""
        inputs = indices.clone(), uniforms.clone()
        self._loss = torch.compile(self.loss, dynamic=False)
        statistics = [b for module in self.trained_modules() for b in module.buffers()]
        kept = [buffer.clone() for buffer in statistics]
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        # A cast that autocast kept from the warm-up would be missing from the graph.
        with torch.cuda.stream(stream), _uncached_autocast():
            for _ in range(WARM_UP):
                self._gradients(*inputs)
        torch.cuda.current_stream().wait_stream(stream)
        for buffer, before in zip(statistics, kept, strict=True):
            buffer.copy_(before)
        self.zero_grad(set_to_none=True)  # so that the gradients are the graph's own memory
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph), _uncached_autocast():
            loss = self._gradients(*inputs)

        def replay(indices: Tensor, uniforms: Tensor) -> Tensor:
            inputs[0].copy_(indices)
            inputs[1].copy_(uniforms)
            graph.replay()
            return loss.clone()

        return replay


def _uncached_autocast() -> torch.autocast:
    """The autocast that is on, if one is, without its cache of casts."""
    return torch.autocast(
        "cuda",
        dtype=torch.get_autocast_dtype("cuda"),
        enabled=torch.is_autocast_enabled("cuda"),
        cache_enabled=False,
    )

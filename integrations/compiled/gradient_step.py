"""Images, views, loss and gradients as one function of static shapes: on a GPU one CUDA graph."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from df_heads.integrations.compiled.device_images import DeviceImages
from df_heads.integrations.method.base import Method

# Passes before a CUDA graph is recorded: compilation, kernel choice, memory.
WARM_UP = 3


class GradientStep:
    """Images, views, loss and clipped gradients: a step but for the update.

    On a GPU the first call compiles it and records it as one CUDA graph, and later calls replay
    that; so all batches must be of one size, and the gradients must not be set to None.

    Args:
        model: Whose parameters get the gradients.
        images: Draws the views.
    """

    def __init__(self, model: Method, images: DeviceImages) -> None:
        self.model = model
        self.images = images
        self._loss: Callable[[Sequence[Tensor]], Tensor] = model.loss
        self._replay: Callable[[Tensor, Tensor], Tensor] | None = None

    def __call__(self, indices: Tensor, uniforms: Tensor) -> Tensor:
        """The loss of a batch of IndexedImages, not yet known to the host."""
        if indices.device.type != "cuda":
            return self._gradients(indices, uniforms)
        if self._replay is None:
            self._replay = self._record(indices, uniforms)
        return self._replay(indices, uniforms)

    def _gradients(self, indices: Tensor, uniforms: Tensor) -> Tensor:
        self.model.zero_grad(set_to_none=True)
        loss = self._loss(self.images(indices, uniforms))
        torch.autograd.backward(loss)
        if self.model.gradient_clip is not None:
            clip_grad_norm_(self.model.parameters(), self.model.gradient_clip)
        return loss.detach()

    def _record(self, indices: Tensor, uniforms: Tensor) -> Callable[[Tensor, Tensor], Tensor]:
        inputs = indices.clone(), uniforms.clone()
        self._loss = torch.compile(self.model.loss, dynamic=False)
        statistics = [b for module in self.model.trained_modules() for b in module.buffers()]
        before = [buffer.clone() for buffer in statistics]
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        # A cast that autocast kept from the warm-up would be missing from the graph.
        with torch.cuda.stream(stream), _uncached_autocast():
            for _ in range(WARM_UP):
                self._gradients(*inputs)
        torch.cuda.current_stream().wait_stream(stream)
        for buffer, value in zip(statistics, before, strict=True):
            buffer.copy_(value)
        self.model.zero_grad(set_to_none=True)  # so that the graph gives them memory of its own
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

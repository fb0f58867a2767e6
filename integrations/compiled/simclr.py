"""SimCLR whose whole step has static shapes and reads nothing back, and so can be compiled."""

from typing import Any

import torch
from torch import Tensor

from df_heads.integrations.compiled.gradient_step import GradientStep
from df_heads.integrations.compiled.indexed_images import IndexedImages
from df_heads.integrations.simclr import SimCLR
from df_heads.integrations.small_maps import use_small_map_products

#: What the Trainer may be told; "16-mixed" needs a scaler, which waits for the device.
PRECISIONS = ("32-true", "bf16-mixed")


class CompiledSimCLR(SimCLR):
    """SimCLR on IndexedImages, the whole step without a word between host and device.

    >>> augment = SimCLRAugment(32, cj_strength=0.5)
    >>> batches = IndexedImages(images, augment, batch_size=256)  # uint8 (N, 3, 32, 32)
    >>> model = CompiledSimCLR("resnet18", "transformer")
    >>> Trainer(max_epochs=100, precision="bf16-mixed").fit(model, batches)

    Same weights, views, loss and updates as SimCLR up to rounding, and the same checkpoints. What
    differs: the images are on the device, both views are drawn in one batch, tiny feature maps go
    through matrix products (integrations.small_maps), the optimiser is fused, and the loss is read
    once an epoch
    (`train_loss_epoch`). On a GPU all but the update is compiled and one CUDA graph. On a CPU
    nothing is compiled: Inductor's code was no faster there for the backbone, and slower for the
    views. It trains on one device, in float32 or bfloat16.
    """

    fused_optimizer = True

    def setup(self, stage: str) -> None:
        """Prepare the step; Lightning calls this before it builds the optimiser.

        Raises:
            ValueError: If the Trainer was not given IndexedImages, or has a precision or a number
                of devices that the step cannot do.
        """
        if stage != "fit":
            return
        batches = getattr(self.trainer, "datamodule", None)
        if not isinstance(batches, IndexedImages):
            raise ValueError(
                "CompiledSimCLR trains on images that are on the device: call trainer.fit(model, "
                "IndexedImages(images, augment, batch_size=...)), or use SimCLR."
            )
        if self.trainer.precision not in PRECISIONS:
            raise ValueError(
                f"CompiledSimCLR cannot train with precision={self.trainer.precision!r}; choose "
                f"{' or '.join(map(repr, PRECISIONS))}, or use SimCLR."
            )
        if self.trainer.world_size > 1:
            raise ValueError(
                f"CompiledSimCLR trains on one device, not {self.trainer.world_size}; use "
                "Trainer(devices=1), or SimCLR."
            )
        self.automatic_optimization = False
        use_small_map_products(self.backbone)
        self.images = batches.device_images
        self._step = GradientStep(self, self.images)
        self._losses: list[Tensor] = []

    def teardown(self, stage: str) -> None:
        """Let go of the images and of what the step recorded."""
        if stage == "fit":
            del self.images, self._step

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """One whole step, the update included."""
        indices, uniforms = batch
        self.check_batch_size(len(indices))
        loss = self._step(indices, uniforms)
        optimizer, scheduler = self.optimizers(), self.lr_schedulers()
        optimizer.step()  # type: ignore[union-attr]
        scheduler.step()  # type: ignore[union-attr]
        self._losses.append(loss)
        if self.trainer.is_last_batch:
            mean = torch.stack(self._losses).mean()
            self.log("train_loss_epoch", mean, on_step=True, on_epoch=False)
            self._losses = []
        return loss

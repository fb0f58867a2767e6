"""SimCLR on several processes, where head and loss see the batch of all of them.

    python examples/ddp_simclr.py --devices 2                        # Lightning starts the second
    torchrun --nproc-per-node=2 examples/ddp_simclr.py --devices 2

Without GPUs the processes run on the CPU and talk through gloo. Each loads --batch-size images;
gather_distributed=True lets a token attend to the tokens of all processes, in the head, and takes
the negatives of all processes, in the loss, so that two processes of 64 images do what one would
do with 128. The backbone normalises each image by itself; one with BatchNorm needs
sync_batchnorm=True in the Trainer, on GPUs, for the same.

Two epochs take 13 CPU seconds of an AMD EPYC in the first process; the loss ends at 4.757, where
outputs that tell no image from another would have 5.541.
"""

import argparse
import math
from typing import Any

from lightly.transforms import SimCLRTransform
from PIL import Image
from pytorch_lightning import Trainer, seed_everything
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, Dataset

from df_heads.integrations.simclr import SimCLR


class TwoViewsOfDigits(Dataset[Any]):
    """scikit-learn's 1797 digits, each as two random views of 32 x 32 pixels."""

    def __init__(self) -> None:
        self.images = load_digits().images / 16 * 255
        self.transform = SimCLRTransform(input_size=32, min_scale=0.5, gaussian_blur=0.0)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        image = Image.fromarray(self.images[index].astype("uint8")).convert("RGB")
        return self.transform(image), index


def main() -> None:
    """Train, and print the loss of the last epoch."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--devices", type=int, default=2, help="processes on this machine")
    parser.add_argument("--batch-size", type=int, default=64, help="images of one process")
    parser.add_argument("--epochs", type=int, default=2)
    options = parser.parse_args()

    seed_everything(0)
    layers: list[nn.Module] = []
    for inputs, outputs in ((3, 32), (32, 64), (64, 128)):
        layers.append(nn.Conv2d(inputs, outputs, kernel_size=3, stride=2, padding=1))
        layers.append(nn.GroupNorm(4, outputs))
        layers.append(nn.ReLU())
    backbone = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(2), nn.Flatten())
    model = SimCLR(
        backbone,
        head="transformer",
        head_options={"gather_distributed": True, "num_layers": 2},
        gather_distributed=True,
        image_size=32,
        learning_rate=0.1,
    )
    # Lightning gives each process its own part of the images, of equal size for all.
    loader = DataLoader(
        TwoViewsOfDigits(), batch_size=options.batch_size, shuffle=True, drop_last=True
    )
    trainer = Trainer(
        strategy="ddp",
        devices=options.devices,
        max_epochs=options.epochs,
        log_every_n_steps=1,
        logger=False,
        enable_checkpointing=False,
    )
    trainer.fit(model, loader)
    if trainer.is_global_zero:
        loss = trainer.callback_metrics["train_loss"].item()
        print(f"{trainer.world_size} processes, {trainer.global_step} steps, loss {loss:.3f}")
        others = 2 * options.batch_size * trainer.world_size - 1
        print(f"Outputs that tell no image from another would have {math.log(others):.3f}.")
        print("Next: one process does the same with --devices 1 --batch-size 128.")


if __name__ == "__main__":
    main()

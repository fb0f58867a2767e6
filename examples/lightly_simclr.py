"""lightly's SimCLR example with a Transformer head: the marked lines are all that changes.

pip install df-heads torchvision
python examples/lightly_simclr.py path/to/images    # any folder of images
python examples/lightly_simclr.py                   # or CIFAR-10, downloaded
"""

import argparse

import pytorch_lightning as pl
import torch
import torchvision
from lightly.data import LightlyDataset
from lightly.loss import NTXentLoss
from lightly.transforms import SimCLRTransform
from torch import Tensor, nn

from df_heads import TransformerProjectionHead  # was: SimCLRProjectionHead


class SimCLR(pl.LightningModule):
    """A ResNet18, a projection head and NT-Xent; forward() gives backbone features."""

    def __init__(self, lr: float = 0.1) -> None:
        super().__init__()
        self.lr = lr
        resnet = torchvision.models.resnet18()
        self.backbone = nn.Sequential(*list(resnet.children())[:-1])
        self.projection_head = TransformerProjectionHead(512, 128, 128)  # was: (512, 512, 128)
        self.criterion = NTXentLoss(temperature=0.2)

    def forward(self, x: Tensor) -> Tensor:
        """Features (N, 512): evaluate these, as a projection depends on its whole batch."""
        features: Tensor = self.backbone(x).flatten(start_dim=1)
        return features

    def training_step(self, batch: list[list[Tensor]], batch_index: int) -> Tensor:
        """Each view of the batch is one sequence."""
        x0, x1 = batch[0]
        z0, z1 = self.projection_head(self(x0)), self.projection_head(self(x1))
        loss: Tensor = self.criterion(z0, z1)
        self.log("train_loss", loss, prog_bar=True)
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """SGD, as in lightly's example."""
        return torch.optim.SGD(self.parameters(), lr=self.lr, momentum=0.9)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("images", nargs="?", help="a folder of images (default: CIFAR-10)")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()

    transform = SimCLRTransform(input_size=32)
    if args.images:
        dataset = LightlyDataset(args.images, transform=transform)
    else:
        dataset = torchvision.datasets.CIFAR10("data", download=True, transform=transform)
    dataloader = torch.utils.data.DataLoader(
        dataset, args.batch_size, shuffle=True, drop_last=True, num_workers=args.workers
    )
    trainer = pl.Trainer(
        max_epochs=args.epochs,
        gradient_clip_val=1.0,  # new: without it a Transformer head can collapse in its first steps
        log_every_n_steps=1,
    )
    trainer.fit(SimCLR(), dataloader)
    print(f"loss {trainer.callback_metrics['train_loss']:.3f}")

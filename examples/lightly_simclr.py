"""lightly's SimCLR example with a Transformer head: the marked lines are all that changes.

pip install 'df-heads[benchmarks]'
python examples/lightly_simclr.py                   # real handwritten digits, no download
python examples/lightly_simclr.py path/to/images    # any folder of images, its folders as classes

Neighbours of the same digit: 76.7 % untrained, 91.0 % after 15 epochs, 88 CPU seconds of one core
of an AMD EPYC.
"""

import argparse
from typing import Any

import pytorch_lightning as pl
import timm
import torch
from lightly.data import LightlyDataset
from lightly.loss import NTXentLoss
from lightly.transforms import SimCLRTransform
from PIL import Image
from sklearn.datasets import load_digits
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import Compose, Normalize, Resize, ToTensor

from df_heads import TransformerProjectionHead  # was: SimCLRProjectionHead
from df_heads.evaluation import nearest_neighbor_accuracy

MOST = 1000  # images that tell how good the features are


class SimCLR(pl.LightningModule):
    """A timm backbone, a projection head and NT-Xent; forward() gives backbone features."""

    def __init__(self, backbone: str, lr: float = 0.1) -> None:
        super().__init__()
        self.lr = lr
        self.backbone = timm.create_model(backbone, num_classes=0)
        width: int = self.backbone.num_features  # type: ignore[assignment]
        self.projection_head = TransformerProjectionHead(width, 128, 128)  # was: (512, 512, 128)
        self.criterion = NTXentLoss(temperature=0.2)

    def forward(self, x: Tensor) -> Tensor:
        """Features (N, D): evaluate these, as a projection depends on its whole batch."""
        features: Tensor = self.backbone(x)
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


class Digits(Dataset[Any]):
    """scikit-learn's 1797 digits as images."""

    def __init__(self, transform: Any) -> None:
        self.digits = load_digits()
        self.transform = transform

    def __len__(self) -> int:
        return len(self.digits.images)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        pixels = (self.digits.images[index] / 16 * 255).astype("uint8")
        image = Image.fromarray(pixels).convert("RGB")
        return self.transform(image), int(self.digits.target[index])


def images_of(folder: str | None, transform: Any) -> Any:
    """The user's images, or the digits."""
    return LightlyDataset(folder, transform=transform) if folder else Digits(transform)


def accuracy(model: SimCLR, folder: str | None, size: int) -> float | None:
    """How often an image's nearest neighbour is of its class, in percent; None without classes."""
    normalize = Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    plain = images_of(folder, Compose([Resize((size, size)), ToTensor(), normalize]))
    chosen = torch.randperm(len(plain), generator=torch.Generator().manual_seed(0))[:MOST]
    images, labels = zip(*(plain[index][:2] for index in chosen.tolist()), strict=True)
    if len(set(labels)) < 2:
        return None
    model.eval()
    with torch.no_grad():
        features = torch.cat([model(part) for part in torch.stack(images).split(256)])
    model.train()
    return 100 * nearest_neighbor_accuracy(features, torch.tensor(labels))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("images", nargs="?", help="a folder of images (default: digits)")
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--backbone", default="test_resnet", help="any of timm's")
    parser.add_argument("--image-size", type=int, help="default: 16 for digits, 32 for a folder")
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--workers", type=int, default=0)
    args = parser.parse_args()
    size = args.image_size or (32 if args.images else 16)

    pl.seed_everything(0)
    model = SimCLR(args.backbone)
    before = accuracy(model, args.images, size)
    dataset = images_of(
        args.images, SimCLRTransform(input_size=size, min_scale=0.3, gaussian_blur=0.0)
    )
    dataloader = DataLoader(
        dataset, args.batch_size, shuffle=True, drop_last=True, num_workers=args.workers
    )
    checkpoint = pl.callbacks.ModelCheckpoint()
    trainer = pl.Trainer(max_epochs=args.epochs, log_every_n_steps=1, callbacks=checkpoint)
    trainer.fit(model, dataloader)
    print(f"loss {trainer.callback_metrics['train_loss']:.3f}")
    after = accuracy(model, args.images, size)
    if before is None:
        print("There are no classes to measure accuracy by: df-heads evaluate has RankMe.")
    else:
        print(f"Nearest neighbours of the same class: {before:.1f} % before, {after:.1f} % after.")
    if args.images:
        flags = f"--backbone {args.backbone} --image-size {size}"
        print(f"Next: df-heads look {checkpoint.best_model_path} {args.images} {flags}")
    else:
        print("Next: give it a folder of your own pictures.")

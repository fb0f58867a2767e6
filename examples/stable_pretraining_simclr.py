"""SimCLR in stable-pretraining with a Transformer head, on scikit-learn's digits.

    pip install 'stable-pretraining>=0.1.8,<0.2' scikit-learn
    python examples/stable_pretraining_simclr.py --epochs 10

Only the marked lines differ from stable-pretraining's own recipe.
"""

import argparse
from typing import Any

import lightning as pl
import stable_pretraining as spt
import torch
from sklearn.datasets import load_digits
from stable_pretraining.forward import simclr
from torch.utils.data import DataLoader, TensorDataset

from df_heads import TransformerProjectionHead  # was: spt.backbone.MLP
from df_heads.augment import SimCLRAugment  # was: spt.data.transforms
from df_heads.integrations.callbacks import CollapseMonitor, OnlineKNN
from df_heads.integrations.stable_pretraining import TwoViewsInBatch, with_views

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--epochs", type=int, default=10)
parser.add_argument("--views", choices=["separate", "joint"], default="separate")
arguments = parser.parse_args()
pl.seed_everything(0, verbose=False)

digits = load_digits()
pixels = torch.as_tensor(digits.images * 15.9375).to(torch.uint8)
pixels = pixels.repeat_interleave(4, dim=1).repeat_interleave(4, dim=2)  # 8 x 8 to 32 x 32
images = pixels[:, None].repeat(1, 3, 1, 1)
pictures = TensorDataset(images, torch.as_tensor(digits.target))
train = spt.data.FromTorchDataset(
    pictures,
    names=["image", "label"],
    gpu_transform=TwoViewsInBatch(SimCLRAugment(32, hf_prob=0.0)),  # digits are not mirrored
)
module = spt.Module(
    forward=with_views(simclr, arguments.views),  # was: simclr
    backbone=spt.backbone.from_torchvision("resnet18"),
    projector=TransformerProjectionHead(512, 128, 128),  # was: spt.backbone.MLP(512, [512], 128)
    simclr_loss=spt.losses.NTXEntLoss(temperature=0.2),
    optim={"optimizer": {"type": "AdamW", "lr": 1e-3}, "scheduler": "CosineAnnealingLR"},
)
knn = OnlineKNN()
watching: list[Any] = [CollapseMonitor(), knn]  # Any: they work in both Lightning packages
trainer = pl.Trainer(
    max_epochs=arguments.epochs,
    accelerator="auto",
    devices=1,
    logger=False,
    enable_checkpointing=False,
    callbacks=watching,
)
trainer.fit(module, DataLoader(train, batch_size=256, shuffle=True, drop_last=True))
for epoch, accuracy in knn.history["knn_accuracy"].items():
    print(f"epoch {epoch}: kNN accuracy of the views' features {accuracy:.3f}")

"""SimCLR in plain PyTorch: a timm ViT and a head that attends over the batch.

pip install 'df-heads[benchmarks]'
python examples/timm_vit.py       # real handwritten digits, no download
"""

import argparse

import numpy as np
import timm
import torch
from lightly.loss import NTXentLoss
from lightly.transforms import SimCLRTransform
from PIL import Image
from sklearn.datasets import load_digits

from df_heads import TransformerProjectionHead
from df_heads.evaluation import nearest_neighbor_accuracy

SIZE = 16
WIDTH = 192  # of a ViT-Tiny's features
LEARNING_RATE = 5e-4

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--epochs", type=int, default=20)
parser.add_argument("--batch-size", type=int, default=128)
args = parser.parse_args()
torch.manual_seed(0)

backbone = timm.create_model(
    "vit_tiny_patch16_224",
    num_classes=0,
    img_size=SIZE,
    patch_size=4,
    depth=4,
    global_pool="avg",
)
head = TransformerProjectionHead(WIDTH, 128, 128)
criterion = NTXentLoss(temperature=0.2)
parameters = [*backbone.parameters(), *head.parameters()]
optimizer = torch.optim.AdamW(parameters, lr=LEARNING_RATE, weight_decay=0.05)

digits = load_digits()
images = [
    Image.fromarray((15.9 * digit).astype(np.uint8)).convert("RGB").resize((SIZE, SIZE))
    for digit in digits.images
]
transform = SimCLRTransform(input_size=SIZE, hf_prob=0.0, min_scale=0.3, gaussian_blur=0.0)
plain = torch.stack(
    [torch.from_numpy(np.array(image)).permute(2, 0, 1) / 127.5 - 1 for image in images]
)
labels = torch.from_numpy(digits.target)
steps = args.epochs * (len(images) // args.batch_size)
schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=steps)


def accuracy() -> float:
    """Label agreement of each digit's features with its nearest neighbour's."""
    backbone.eval()
    with torch.no_grad():
        features = backbone(plain)
    backbone.train()
    return nearest_neighbor_accuracy(features, labels)


print(f"untrained: {100 * accuracy():.1f} %")
for epoch in range(args.epochs):
    losses = []
    for rows in torch.randperm(len(images)).split(args.batch_size)[: steps // args.epochs]:
        views = [transform(images[row]) for row in rows]
        x0, x1 = (torch.stack(view) for view in zip(*views, strict=True))
        # Two sequences of one view each. torch.cat for one sequence of both: "joint" views.
        z0, z1 = head(torch.stack([backbone(x0), backbone(x1)]))
        loss = criterion(z0, z1)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    print(f"epoch {epoch + 1}: loss {np.mean(losses):.3f}, {100 * accuracy():.1f} %")

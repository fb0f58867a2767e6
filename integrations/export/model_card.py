"""The README.md beside an exported file, in the form of the Hugging Face hub's model cards."""

from typing import Any

from df_heads.integrations.export.target import Target
from df_heads.integrations.export.trained import Trained

CARD = "README.md"
#: Tells a card of ours from anybody else's file.
MARK = "<!-- written by df-heads export -->"

_SQUARE = {
    "crop": """\
side = min(image.size)
left, top = (image.width - side) / 2, (image.height - side) / 2
box = (left, top, left + side, top + side)
image = image.resize(({size}, {size}), Image.Resampling.BILINEAR, box=box)
""",
    "stretch": "image = image.resize(({size}, {size}), Image.Resampling.BILINEAR)\n",
}


def model_card(trained: Trained, target: Target, file: str, difference: float) -> str:
    """The card of an exported file.

    Args:
        trained: What was exported.
        target: To what.
        file: Name of the file beside the card.
        difference: What the check found; see Exported.
    """
    config = trained.run.config
    images = config.images
    head = config.head.name or config.head.class_name
    classes = (
        f"{len(images.classes)} classes ({', '.join(images.classes)}), whose labels were not used "
        "for training"
        if images.classes
        else "no labels"
    )
    arguments = ", ".join(f"`{k}={v!r}`" for k, v in trained.arguments.items()) or "nothing"
    return f"""\
---
library_name: {target.library}
pipeline_tag: image-feature-extraction
tags:
- df-heads
- self-supervised-learning
- {config.method}
---
{MARK}
# {trained.architecture} trained with {config.method} on {images.count} pictures

Features ({trained.width} numbers) of images of {trained.preprocessing.image_size} x \
{trained.preprocessing.image_size} pixels, trained without labels by df-heads {config.df_heads}.

## Load

```python
{target.how_to_load(trained, file)}```
{_stem_note(trained)}
The features of one picture:

```python
{preprocessing_code(trained)}
with torch.no_grad():
    features = model(x)  # (1, {trained.width})
```

Loaded like this, the features of random images differ from those of the trained backbone by at most
{difference:.1e} of the largest.

## Model

| | |
| --- | --- |
| architecture | timm's `{trained.architecture}` |
| arguments of `timm.create_model` | `num_classes=0`; beside it {arguments} |
| stem | {"3x3 of stride 1, no max-pooling" if trained.has_small_stem else "as in timm"} |
| weights | {sum(p.numel() for p in trained.backbone.parameters()):,} |
| preprocessing | {trained.preprocessing} |

The projection head that it was trained with ({head}) is not part of the file:
features for other tasks are taken before it.

## Training

{images.count} pictures of {classes}; {images.held_out} of them were held out.

| setting | value |
| --- | --- |
{_rows({"method": config.method, **config.method_options, **config.recipe})}

Again:

```
{config.command}
```
"""


def preprocessing_code(trained: Trained) -> str:
    """Python code from a file "picture.jpg" to `x`, as in training, with Pillow and NumPy alone."""
    rule = trained.preprocessing
    square = _SQUARE[rule.resize].format(size=rule.image_size)
    return f"""\
import numpy as np
import torch
from PIL import Image, ImageOps

image = ImageOps.exif_transpose(Image.open("picture.jpg")).convert("RGB")
{square}pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 255
mean = torch.tensor({list(rule.mean)})[:, None, None]
std = torch.tensor({list(rule.std)})[:, None, None]
x = ((pixels - mean) / std)[None]
"""


def _stem_note(trained: Trained) -> str:
    if not trained.has_small_stem:
        return ""
    return """
The stem for small images is not one that timm or torchvision can build from arguments, hence the
two lines that put it in; without them loading fails with a size mismatch of `conv1.weight`.
"""


def _rows(settings: dict[str, Any]) -> str:
    return "\n".join(f"| {name} | {value} |" for name, value in settings.items())

"""The trained backbone of a run, as an export needs it."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from df_heads.integrations.backbones import architecture, create_arguments
from df_heads.integrations.runs import Preprocessing, Run, load_backbone

# Any fixed number: an export is checked on the same images each time.
_SEED = 0


@dataclass(frozen=True)
class Trained:
    """A backbone and what others must know to build it.

    Attributes:
        run: Where it is from.
        backbone: In evaluation mode, weights contiguous.
        preprocessing: What pictures go through first.
        architecture: timm's name.
        arguments: What timm.create_model is told beside it.
        has_small_stem: Whether a ResNet's first layers were replaced, which no argument of
            timm.create_model does.
    """

    run: Run
    backbone: nn.Module
    preprocessing: Preprocessing
    architecture: str
    arguments: dict[str, Any]
    has_small_stem: bool

    @classmethod
    def of_run(cls, run: Run) -> "Trained":
        """Load it.

        Raises:
            InputError: If the run has no weights.
        """
        config = run.config.backbone
        backbone, preprocessing = load_backbone(run)
        # The layout of a training on channels_last is no part of the model.
        backbone = backbone.to(memory_format=torch.contiguous_format).requires_grad_(False)
        stem = config.options.get("stem", "imagenet")
        arguments = create_arguments(config.name, stem=stem, image_size=config.image_size)
        return cls(
            run=run,
            backbone=backbone,
            preprocessing=preprocessing,
            # Without the tag of pretrained weights, which stand in the file.
            architecture=architecture(config.name).partition(".")[0],
            arguments=arguments,
            has_small_stem=stem == "small" and "patch_size" not in arguments,
        )

    def state(self) -> dict[str, Tensor]:
        """Names and weights, contiguous and on the CPU."""
        return {
            name: value.detach().cpu().contiguous()
            for name, value in self.backbone.state_dict().items()
        }

    def example_images(self) -> Tensor:
        """A few normalised images (N, 3, S, S) that are the same each time."""
        size = self.preprocessing.image_size
        return torch.randn(3, 3, size, size, generator=torch.Generator().manual_seed(_SEED))

    @torch.no_grad()
    def features(self, images: Tensor) -> Tensor:
        """The features (N, D) of normalised images (N, 3, S, S)."""
        features: Tensor = self.backbone(images)
        return features.flatten(start_dim=1)

    @property
    def width(self) -> int:
        """D of the features."""
        return int(self.features(self.example_images()[:1]).shape[1])

    def call_of_create_model(self, *more: str) -> str:
        """The call that builds the architecture, as code."""
        arguments = [f"{name}={value!r}" for name, value in self.arguments.items()]
        every = [repr(self.architecture), "num_classes=0", *arguments, *more]
        return f"timm.create_model({', '.join(every)})"

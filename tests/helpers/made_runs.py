"""Run folders as df-heads train writes them, without training."""

from pathlib import Path
from typing import Any

import torch
from torch import nn

from df_heads import build_head
from df_heads.integrations.backbones import build_backbone
from df_heads.integrations.runs import (
    BackboneConfig,
    ImagesConfig,
    Preprocessing,
    Run,
    RunConfig,
    save_weights,
    write_config,
)
from df_heads.integrations.runs.heads import describe_head

SMALL_HEAD = {"hidden_dim": 16, "output_dim": 16, "num_layers": 2, "num_heads": 2, "head_dim": 8}


def make_run(
    folder: Path,
    backbone: str = "test_resnet",
    *,
    image_size: int = 32,
    resize: Any = "crop",
    head: str = "transformer-stable",
    head_options: dict[str, Any] | None = None,
    classes: list[str] | None = None,
    curve: str = "",
    finished: bool = True,
    **options: Any,
) -> Run:
    """A finished run of SimCLR with random weights, moved as training moves them."""
    torch.manual_seed(0)
    model = build_backbone(backbone, image_size=image_size, **options)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                assert module.running_mean is not None
                assert module.running_var is not None
                module.running_mean.normal_(0, 0.1)
                module.running_var.uniform_(0.5, 2)
    width: int = model.num_features  # type: ignore[assignment]
    projection = build_head(head, width, **(SMALL_HEAD if head_options is None else head_options))
    run = write_config(
        folder,
        RunConfig(
            format=1,
            df_heads="0.1.0",
            method="simclr",
            method_options={"temperature": 0.2},
            backbone=BackboneConfig(name=backbone, image_size=image_size, options=options),
            head=describe_head(projection, head),
            preprocessing=Preprocessing(image_size=image_size, resize=resize),
            images=ImagesConfig(
                folder="shapes", count=20, classes=classes, held_out=4, fingerprint="0" * 16
            ),
            recipe={"epochs": 3, "batch_size": 8, "learning_rate": 0.1},
            finished=finished,
            command="df-heads train shapes",
        ),
    )
    save_weights(model, run.backbone_file)
    save_weights(projection, run.head_file)
    if curve:
        run.curve_file.write_text(curve)
    return run

"""Files of named weights: timm's, torchvision's and plain safetensors."""

import io
import json
from pathlib import Path
from typing import Any

import timm
import torch
import torchvision
from safetensors.torch import save
from torch import Tensor

from df_heads.integrations.errors import InputError
from df_heads.integrations.export.target import Target
from df_heads.integrations.export.trained import Trained
from df_heads.integrations.files.atomic import write_whole

_SMALL_STEM = """\
# The stem for small images: no argument of {maker} makes it.
model.conv1 = torch.nn.Conv2d(3, {width}, kernel_size=3, padding=1, bias=False)
model.maxpool = torch.nn.Identity()
"""


class SafetensorsFile(Target):
    """The weights under timm's names, and in the metadata what builds the model."""

    name = "safetensors"
    file_name = "model.safetensors"
    library = "timm"

    def write(self, trained: Trained, file: Path) -> None:
        """See Target."""
        described = {
            "architecture": trained.architecture,
            "create_model": {"num_classes": 0, **trained.arguments},
            "small_stem": trained.has_small_stem,
            "preprocessing": str(trained.preprocessing),
        }
        metadata = {"format": "pt", "df_heads": json.dumps(described)}
        content = save(trained.state(), metadata=metadata)
        write_whole(file, lambda stream: stream.write(content))

    def how_to_load(self, trained: Trained, file: str) -> str:
        """See Target."""
        return (
            "import timm\nimport torch\nfrom safetensors.torch import load_file\n\n"
            f"model = {trained.call_of_create_model()}\n"
            f"{small_stem(trained)}"
            f"model.load_state_dict(load_file({file!r}))\n"
            "model.eval()\n"
        )


class TimmFile(SafetensorsFile):
    """What timm.create_model takes as checkpoint_path; its folder is one of timm's own form."""

    name = "timm"

    def how_to_load(self, trained: Trained, file: str) -> str:
        """See Target."""
        if trained.has_small_stem:
            return super().how_to_load(trained, file)
        call = trained.call_of_create_model(f"checkpoint_path={file!r}")
        return f"import timm\n\nmodel = {call}\nmodel.eval()\n"

    def files_beside(self, trained: Trained) -> dict[str, bytes]:
        """A config.json: the folder is a "local-dir:" of timm's, and a repository of the hub's."""
        if trained.has_small_stem:
            return {}
        preprocessing = trained.preprocessing
        size = preprocessing.image_size
        config: dict[str, Any] = {
            "architecture": trained.architecture,
            "num_classes": 0,
            "num_features": trained.width,
            "model_args": trained.arguments,
            "pretrained_cfg": {
                "tag": "df_heads",
                "input_size": [3, size, size],
                "fixed_input_size": bool(trained.arguments),
                "interpolation": "bilinear",
                "crop_pct": 1.0,
                "crop_mode": "center" if preprocessing.resize == "crop" else "squash",
                "mean": list(preprocessing.mean),
                "std": list(preprocessing.std),
                "num_classes": 0,
                **_entries(trained),
            },
        }
        return {"config.json": json.dumps(config, indent=1).encode()}


def _entries(trained: Trained) -> dict[str, Any]:
    """Names of layers that timm asks a config for."""
    known = timm.get_pretrained_cfg(trained.architecture)
    if known is None:
        return {}
    return {"first_conv": known.first_conv, "classifier": known.classifier}


class TorchvisionFile(Target):
    """A state_dict under torchvision's names, for the ResNets that both libraries have."""

    name = "torchvision"
    file_name = "model.pth"
    library = "torchvision"

    def check(self, trained: Trained) -> None:
        """See Target."""
        super().check(trained)
        name = trained.architecture
        ours = {key: value.shape for key, value in trained.state().items()}
        if name not in torchvision.models.list_models(torchvision.models):
            raise InputError(
                f"torchvision has no {name}; it shares ResNets with timm, such as resnet18 and "
                "resnet50: use --to timm, onnx or torch-export."
            )
        with torch.device("meta"):
            theirs = {
                key: value.shape
                for key, value in torchvision.models.get_model(name).state_dict().items()
                if not key.startswith("fc.")
            }
        if trained.has_small_stem:
            theirs["conv1.weight"] = ours.get("conv1.weight")
        if ours != theirs:
            raise InputError(
                f"torchvision's {name} is another network than timm's of that name; use --to timm, "
                "onnx or torch-export."
            )

    def write(self, trained: Trained, file: Path) -> None:
        """See Target."""
        content = io.BytesIO()
        torch.save(trained.state(), content)
        write_whole(file, lambda stream: stream.write(content.getbuffer()))

    def how_to_load(self, trained: Trained, file: str) -> str:
        """See Target."""
        return (
            "import torch\nimport torchvision\n\n"
            f"model = torchvision.models.{trained.architecture}()\n"
            f"{small_stem(trained, 'torchvision')}"
            "model.fc = torch.nn.Identity()  # features instead of classes\n"
            f"model.load_state_dict(torch.load({file!r}, weights_only=True))\n"
            "model.eval()\n"
        )


def small_stem(trained: Trained, maker: str = "timm.create_model") -> str:
    """The code that puts in the stem for small images; nothing where there is none."""
    if not trained.has_small_stem:
        return ""
    weight: Tensor = trained.state()["conv1.weight"]
    return _SMALL_STEM.format(maker=maker, width=len(weight))

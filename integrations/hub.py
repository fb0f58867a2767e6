"""Heads and whole methods on the Hugging Face hub, or in folders of the same form.

>>> from df_heads.integrations.hub import SimCLR, load_head, save_head
>>> model = SimCLR.load_from_checkpoint("last.ckpt")
>>> model.save_pretrained("my-simclr")          # a folder
>>> model.push_to_hub("user/my-simclr")         # a repository of the hub
>>> SimCLR.from_pretrained("user/my-simclr")    # or the folder
>>> save_head(model.projection_head, "my-head", backbone=model.backbone)  # of any model
>>> head = load_head("my-head")
>>> load_backbone_weights(my_backbone, "my-head")

The classes are those of df-heads and train as they do; huggingface_hub's mixin adds the three
methods. A folder holds config.json, the arguments that build the class, and model.safetensors.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

try:
    from huggingface_hub import ModelHubMixin, constants, hf_hub_download
except ImportError as error:
    raise ImportError(
        "df_heads.integrations.hub needs huggingface_hub: pip install huggingface_hub"
    ) from error
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

import df_heads
from df_heads import heads
from df_heads.integrations import (
    barlowtwins,
    byol,
    dino,
    moco,
    nnclr,
    simclr,
    simsiam,
    supcon,
    vicreg,
)
from df_heads.integrations.errors import InputError
from df_heads.integrations.runs import save_weights
from df_heads.integrations.runs.heads import describe_head

_CARD = """\
---
{{ card_data }}
---

Saved by [df-heads](https://arxiv.org/abs/2403.18681). To load it:

```python
from df_heads.integrations.hub import CLASS

model = CLASS.from_pretrained("...")  # this folder, or the name of this repository
```
"""
_WEIGHTS = constants.SAFETENSORS_SINGLE_FILE
#: Where save_head keeps the weights of the backbone, beside the head's.
BACKBONE_WEIGHTS = "backbone.safetensors"


class Pretrained(ModelHubMixin, nn.Module, library_name="df-heads", tags=["df-heads"]):
    """A module that is saved to, and loaded from, a folder or a repository of the hub."""

    def __init_subclass__(cls, **options: Any) -> None:
        card = _CARD.replace("CLASS", cls.__name__)
        super().__init_subclass__(model_card_template=card, **options)

    def arguments(self) -> Mapping[str, Any]:
        """The arguments that build the same module, as plain values.

        Raises:
            InputError: If it was not built from plain values.
        """
        raise NotImplementedError

    def _save_pretrained(self, save_directory: Path) -> None:
        # "class" first: a reader should see what it is.
        config = {
            "class": type(self).__name__,
            "df_heads": df_heads.__version__,
            **self.arguments(),
        }
        save_weights(self, save_directory / _WEIGHTS)
        text = json.dumps(config, indent=1) + "\n"
        (save_directory / constants.CONFIG_NAME).write_text(text, encoding="utf-8")

    @classmethod
    def _from_pretrained(
        cls,
        *,
        model_id: str,
        revision: str | None,
        cache_dir: str | Path | None,
        force_download: bool,
        local_files_only: bool,
        token: str | bool | None,
        **arguments: Any,
    ) -> "Pretrained":
        download = {
            "revision": revision,
            "cache_dir": cache_dir,
            "force_download": force_download,
            "local_files_only": local_files_only,
            "token": token,
        }
        saved = _config(model_id, **download)["class"]
        if saved != cls.__name__:
            raise InputError(
                f"{model_id} holds a {saved}, not a {cls.__name__}; load it by {saved}."
                "from_pretrained."
            )
        # The mixin hands over what stands in the config beside the arguments, too.
        model = cls(**{k: v for k, v in arguments.items() if k not in ("class", "df_heads")})
        file = _file(model_id, _WEIGHTS, **download)
        try:
            model.load_state_dict(load_file(file))
        except (SafetensorError, RuntimeError) as error:
            reason = str(error).splitlines()[0]
            raise InputError(
                f"{file} is damaged, or not of what {constants.CONFIG_NAME} beside it describes "
                f"({reason}); save or fetch it again."
            ) from error
        return model.eval()


class _PretrainedHead(Pretrained):
    def arguments(self) -> Mapping[str, Any]:
        """See Pretrained."""
        return describe_head(self).options


class _PretrainedMethod(Pretrained):
    def arguments(self) -> Mapping[str, Any]:
        """See Pretrained."""
        hparams: dict[str, Any] = dict(self.hparams)  # type: ignore[arg-type]
        for part in ("backbone", "head"):
            if part not in hparams:
                raise InputError(
                    f"the {part} of this {type(self).__name__} was given as a module, which only "
                    f"its own code can build; give it by name, or save the head by save_head."
                )
        return hparams


class TransformerProjectionHead(_PretrainedHead, heads.TransformerProjectionHead):
    """df_heads.TransformerProjectionHead with from_pretrained, save_pretrained, push_to_hub."""


class FeedForwardProjectionHead(_PretrainedHead, heads.FeedForwardProjectionHead):
    """df_heads.FeedForwardProjectionHead with from_pretrained, save_pretrained, push_to_hub."""


class SimCLR(_PretrainedMethod, simclr.SimCLR):
    """SimCLR of df_heads.integrations with from_pretrained, save_pretrained, push_to_hub."""


class MoCo(_PretrainedMethod, moco.MoCo):
    """MoCo of df_heads.integrations with from_pretrained, save_pretrained, push_to_hub."""


class BYOL(_PretrainedMethod, byol.BYOL):
    """BYOL of df_heads.integrations with from_pretrained, save_pretrained, push_to_hub."""


class VICReg(_PretrainedMethod, vicreg.VICReg):
    """VICReg of df_heads.integrations with from_pretrained, save_pretrained, push_to_hub."""


class BarlowTwins(_PretrainedMethod, barlowtwins.BarlowTwins):
    """BarlowTwins of df_heads.integrations with from_pretrained, save_pretrained, push_to_hub."""


class SimSiam(_PretrainedMethod, simsiam.SimSiam):
    """SimSiam of df_heads.integrations with from_pretrained, save_pretrained, push_to_hub."""


class NNCLR(_PretrainedMethod, nnclr.NNCLR):
    """NNCLR of df_heads.integrations with from_pretrained, save_pretrained, push_to_hub."""


class SupCon(_PretrainedMethod, supcon.SupCon):
    """SupCon of df_heads.integrations with from_pretrained, save_pretrained, push_to_hub."""


class DINO(_PretrainedMethod, dino.DINO):
    """DINO of df_heads.integrations with from_pretrained, save_pretrained, push_to_hub."""


_HEADS: Mapping[str, type[_PretrainedHead]] = {
    kind.__name__: kind for kind in (TransformerProjectionHead, FeedForwardProjectionHead)
}


def save_head(head: nn.Module, folder: Path | str, *, backbone: nn.Module | None = None) -> None:
    """Write a head of df-heads, trained in whatever model, to a folder.

    Args:
        head: A TransformerProjectionHead or a FeedForwardProjectionHead.
        folder: Made if it is not there. Its load_head, or its class's from_pretrained, reads it.
        backbone: Whatever gave it features, to write its weights beside it. Only your own code can
            build it again; load_backbone_weights puts them into it.

    Raises:
        InputError: If the head is somebody else's, or the backbone keeps more than tensors.
        OSError: If it cannot be written.
    """
    described = describe_head(head)
    twin = _HEADS[described.class_name](**described.options)
    twin.load_state_dict(head.state_dict())
    if backbone is not None:
        Path(folder).mkdir(parents=True, exist_ok=True)
        save_weights(backbone, Path(folder) / BACKBONE_WEIGHTS)
    twin.save_pretrained(folder)


def load_backbone_weights(backbone: nn.Module, place: Path | str) -> None:
    """Put the weights that save_head wrote beside a head into a backbone, in place.

    Args:
        backbone: Built by the same code as the one that was saved.
        place: The folder, or "user/name".

    Raises:
        InputError: If there are none, the file is damaged, or they are of another backbone.
    """
    file = _file(str(place), BACKBONE_WEIGHTS)
    try:
        backbone.load_state_dict(load_file(file))
    except (SafetensorError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"the weights in {file} do not fit this {type(backbone).__name__}, or the file is "
            f"damaged ({reason}); build the backbone as when save_head was called."
        ) from error


def load_head(place: Path | str) -> nn.Module:
    """The head of a folder that save_head wrote, or of a repository of the hub.

    Args:
        place: The folder, or "user/name".

    Returns:
        The head, in evaluation mode.

    Raises:
        InputError: If there is none, or its files are damaged.
    """
    kind = _config(str(place))["class"]
    if kind not in _HEADS:
        raise InputError(
            f"{place} holds a {kind}, not a head; load it by {kind}.from_pretrained of "
            "df_heads.integrations.hub."
        )
    return _HEADS[kind].from_pretrained(place)


def _config(place: str, **download: Any) -> dict[str, Any]:
    file = _file(place, constants.CONFIG_NAME, **download)
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        if isinstance(content["class"], str):
            return dict(content)
    except (ValueError, KeyError, TypeError):
        pass
    raise InputError(
        f"{file} was not written by df-heads' save_pretrained or save_head; give another folder or "
        "repository."
    )


def _file(place: str, name: str, **download: Any) -> Path:
    if Path(place).is_dir():
        file = Path(place) / name
        if not file.is_file():
            raise InputError(
                f"{place} holds no {name}; give a folder that save_pretrained or save_head wrote"
                f"{' with backbone=' if name == BACKBONE_WEIGHTS else ''}."
            )
        return file
    try:
        return Path(hf_hub_download(place, name, **download))
    except Exception as error:  # whatever the network or the hub leads to
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise InputError(
            f"there is no folder {place}, and the hub did not give {name} of a repository of that "
            f"name ({reason}); check the name and the connection."
        ) from error

"""What is taken from solo-learn, after a check that it is a solo-learn we support."""

import functools
import re
from collections.abc import Callable
from importlib import metadata
from typing import Any

from torch import nn

__all__ = [
    "COUNT_TOP_K",
    "METHODS",
    "METHOD_NAMES",
    "SUFFIX",
    "BaseMethod",
    "OmegaConf",
    "accuracy_at_k",
    "backbone_builders",
]

_INSTALL = (
    "PyPI has only 1.0.2, so install it from its repository: pip install 'setuptools<82' "
    "'lightning>=2.4' 'torchmetrics<0.12' hydra-core einops timm scipy scikit-learn tqdm, then "
    "pip install --no-deps --no-build-isolation git+https://github.com/vturrisi/solo-learn"
)
try:
    from omegaconf import OmegaConf
    from solo.methods import METHODS, base, linear
    from solo.methods.base import BaseMethod
    from solo.utils.metrics import accuracy_at_k
except ImportError as error:
    raise ImportError(
        "df_heads.integrations.solo_learn needs solo-learn 1.0.6, and importing it failed "
        f"({error}). {_INSTALL}"
    ) from error


#: The modules of solo-learn that look up accuracy_at_k.
COUNT_TOP_K: tuple[Any, ...] = (base, linear)


def _require_supported(version: str | None, base_method: type) -> None:
    # Run from a clone that is not installed, solo-learn has no version.
    numbers = tuple(int(n) for n in re.findall(r"\d+", version or "1.0.6")[:3])
    has_configs = hasattr(base_method, "add_and_assert_specific_cfg")
    if not (1, 0, 6) <= numbers < (1, 1) or not has_configs:
        found = version if version and has_configs else "an older one"
        raise ImportError(
            "df_heads.integrations.solo_learn supports solo-learn >=1.0.6,<1.1, and "
            f"{found} is installed. {_INSTALL}"
        )


def _installed_version() -> str | None:
    try:
        return metadata.version("solo-learn")
    except metadata.PackageNotFoundError:
        return None


_require_supported(_installed_version(), BaseMethod)

#: Transformer projection head.
SUFFIX = "_tph"
#: The keys of solo.methods.METHODS whose method has a projector.
METHOD_NAMES = (
    "all4one",
    "barlow_twins",
    "byol",
    "deepclusterv2",
    "mocov2plus",
    "mocov3",
    "nnbyol",
    "nnclr",
    "nnsiam",
    "ressl",
    "simclr",
    "simsiam",
    "supcon",
    "swav",
    "vibcreg",
    "vicreg",
    "wmse",
)


def backbone_builders() -> dict[str, Callable[..., nn.Module]]:
    """solo-learn's backbones by name, for which the method "mocov3_tph" is "mocov3".

    MoCo v3 has a ViT of its own.
    """

    def by_base_name(build: Callable[..., nn.Module]) -> Callable[..., nn.Module]:
        @functools.wraps(build)
        def backbone(method: str | None, *args: Any, **kwargs: Any) -> nn.Module:
            return build(method and method.removesuffix(SUFFIX), *args, **kwargs)

        return backbone

    return {name: by_base_name(build) for name, build in BaseMethod._BACKBONES.items()}

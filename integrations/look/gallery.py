"""The pictures that are looked at: which, in what order, and what they are called."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from df_heads.integrations.own_images.opening import Pictures

#: Side of the thumbnails in pixels.
THUMB = 64
# Any fixed number: the same pictures each time.
_SEED = 0


@dataclass(frozen=True, eq=False)
class Gallery:
    """Pictures in memory, and the groups that they are shown in.

    Attributes:
        images: uint8 (N, 3, S, S).
        names: Paths of the files below their folder.
        held_out: bool (N,), those that a run of df-heads train on this folder held out.
        groups: (N,), classes, or clusters of features where there are no classes.
        group_names: Of each group.
        has_classes: Whether the groups are classes.
    """

    images: npt.NDArray[np.uint8]
    names: list[str]
    held_out: Tensor
    groups: Tensor
    group_names: list[str]
    has_classes: bool

    def __len__(self) -> int:
        return len(self.names)

    def thumbnail(self, index: int, side: int = THUMB) -> Image.Image:
        """One picture, as the backbone sees it, side x side pixels."""
        image = Image.fromarray(self.images[index].transpose(1, 2, 0))
        sharp = Image.Resampling.NEAREST if image.width < side else Image.Resampling.LANCZOS
        return image.resize((side, side), sharp)

    def group_of(self, index: int) -> str:
        """Name of the picture's group."""
        return self.group_names[int(self.groups[index])]

    def title(self, index: int) -> str:
        """What to call a picture: its file, and its class if it has one."""
        name = self.names[index]
        return f"{name} ({self.group_of(index)})" if self.has_classes else name

    @property
    def pairable(self) -> int:
        """How many groups have two pictures or more."""
        return int((torch.bincount(self.groups) > 1).sum())

    def spread(self, most: int, least_of_each: int = 1) -> list[int]:
        """At most so many pictures, in turn from every group, the held out ones first.

        They are sorted by group. Groups of fewer than `least_of_each` are left out, and so are the
        smallest ones where there are too many groups.
        """
        members = [
            sorted((self.groups == group).nonzero().flatten().tolist(), key=self._rank)
            for group in range(len(self.group_names))
        ]
        members = [m for m in members if len(m) >= least_of_each]
        members = sorted(members, key=len, reverse=True)[: max(1, most // least_of_each)]
        chosen: list[int] = []
        for turn in range(max(map(len, members), default=0)):
            chosen += [m[turn] for m in members if turn < len(m)]
        return sorted(chosen[:most], key=lambda i: (int(self.groups[i]), i))

    def _rank(self, index: int) -> tuple[bool, int]:
        return not bool(self.held_out[index]), index


def chosen_pictures(pictures: Pictures, most: int) -> tuple[npt.NDArray[np.uint8], list[int]]:
    """At most so many of the pictures of a folder, drawn by a fixed seed, and their positions."""
    total = len(pictures.images)
    order = torch.randperm(total, generator=torch.Generator().manual_seed(_SEED))
    kept = sorted(order[:most].tolist())
    return pictures.images[kept], kept


def names_below(files: tuple[Path, ...], folder: Path) -> list[str]:
    """What to call files: their paths below a folder."""
    return [file.relative_to(folder).as_posix() for file in files]

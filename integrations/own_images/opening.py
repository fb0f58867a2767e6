"""Pictures of one's own as arrays in memory: decoded, checked, split."""

import hashlib
import os
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from df_heads.evaluation import stratified_subset
from df_heads.integrations.errors import InputError
from df_heads.integrations.files.pictures import open_rgb
from df_heads.integrations.own_images.finding import FoundPictures, find_pictures
from df_heads.integrations.runs import Preprocessing

#: Share of the pictures that are held out where the folder sets none apart for testing.
HOLD_OUT = 0.2
#: The draw of the held out ones is the same for every seed: runs are compared on the same pictures.
HOLD_OUT_SEED = 0
LEAST_PICTURES = 4
Say = Callable[[str], object]


@dataclass(frozen=True, eq=False)
class Pictures:
    """Pictures in memory.

    Attributes:
        found: Their files; unreadable ones that were skipped are not among them.
        images: uint8 (N, 3, S, S).
        labels: int64 (N,), positions in classes; None without labels.
        held_out: bool (N,), those that are not trained on.
        sizes: (width, height) of the files -> how many.
        fingerprint: 16 hex digits of the sha256 over images, labels and held_out.
    """

    found: FoundPictures
    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64] | None
    held_out: npt.NDArray[np.bool_]
    sizes: Counter[tuple[int, int]]
    fingerprint: str

    @property
    def classes(self) -> tuple[str, ...] | None:
        """Names of the classes; None without labels."""
        return self.found.classes

    @property
    def train_images(self) -> npt.NDArray[np.uint8]:
        """Those to train on."""
        return self.images[~self.held_out]

    @property
    def train_labels(self) -> npt.NDArray[np.int64] | None:
        """Theirs; None without labels."""
        return None if self.labels is None else self.labels[~self.held_out]


def open_pictures(
    folder: Path | str,
    preprocessing: Preprocessing,
    *,
    skip_unreadable: bool = False,
    say: Say = print,
) -> Pictures:
    """Find, decode and split the pictures of a folder.

    Args:
        folder: See find_pictures.
        preprocessing: Its rule makes squares of them.
        skip_unreadable: Leave out what cannot be decoded and name it, instead of refusing it.
        say: Gets a sentence about what was skipped.

    Raises:
        InputError: If there are no pictures, too few, unreadable ones, or all are equal.
    """
    found = find_pictures(Path(folder))

    def decode(file: Path) -> tuple[npt.NDArray[np.uint8], tuple[int, int]] | InputError:
        try:
            image = open_rgb(file)
        except InputError as error:
            return error
        return preprocessing.pixels(image), image.size

    # Threads: Pillow releases the interpreter lock to decode and to resize.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        try:
            decoded = list(pool.map(decode, found.files))
        except BaseException:  # such as Interrupted: do not decode the rest first
            pool.shutdown(cancel_futures=True)
            raise
    failures = [str(one) for one in decoded if isinstance(one, InputError)]
    if failures and not skip_unreadable:
        more = f" (and {len(failures) - 1} more like it)" if len(failures) > 1 else ""
        raise InputError(f"{failures[0]}{more}; --skip-unreadable trains without.")
    for failure in failures:
        say(f"skipped: {failure}")
    found = _without(found, [isinstance(one, InputError) for one in decoded])
    good = [one for one in decoded if not isinstance(one, InputError)]
    if len(good) < LEAST_PICTURES:
        raise InputError(
            f"{found.folder} holds {len(good)} readable picture(s); training compares pictures "
            f"with each other and needs at least {LEAST_PICTURES}, better hundreds."
        )
    images = np.stack([pixels for pixels, _ in good])
    if (images == images[0]).all():
        raise InputError(
            f"all {len(images)} pictures of {found.folder} are equal: there is nothing to tell "
            "apart; give different ones."
        )
    labels = None if found.classes is None else np.array(found.labels, dtype=np.int64)
    held_out = _held_out(found, labels)
    sizes = Counter(size for _, size in good)
    return Pictures(found, images, labels, held_out, sizes, _digest(images, labels, held_out))


def _without(found: FoundPictures, unreadable: list[bool]) -> FoundPictures:
    """The files that can be read; classes that lose all their pictures are left out too."""
    if not any(unreadable):
        return found
    kept = [i for i, bad in enumerate(unreadable) if not bad]
    first_test = len(found.files) - found.tests
    tests = sum(i >= first_test for i in kept)
    files = tuple(found.files[i] for i in kept)
    if found.classes is None:
        return FoundPictures(found.folder, files, None, (), tests)
    present = sorted({found.labels[i] for i in kept})
    if len(present) < 2:
        return FoundPictures(found.folder, files, None, (), tests)
    labels = tuple(present.index(found.labels[i]) for i in kept)
    classes = tuple(found.classes[label] for label in present)
    return FoundPictures(found.folder, files, classes, labels, tests)


def _held_out(found: FoundPictures, labels: npt.NDArray[np.int64] | None) -> npt.NDArray[np.bool_]:
    """The folder's own test part, or a share of each class; of the whole without labels."""
    held_out = np.zeros(len(found.files), dtype=np.bool_)
    if found.tests:
        held_out[len(held_out) - found.tests :] = True
        return held_out
    groups = torch.zeros(len(held_out), dtype=torch.long)
    if labels is not None:
        groups = torch.from_numpy(labels)
    held_out[stratified_subset(groups, HOLD_OUT, HOLD_OUT_SEED).numpy()] = True
    # A class of one picture has it to train on.
    alone = torch.bincount(groups)[groups] == 1
    held_out[alone.numpy()] = False
    return held_out


def _digest(
    images: npt.NDArray[np.uint8],
    labels: npt.NDArray[np.int64] | None,
    held_out: npt.NDArray[np.bool_],
) -> str:
    digest = hashlib.sha256(images.data)
    for part in (labels, held_out):
        if part is not None:
            digest.update(part.data)
    return digest.hexdigest()[:16]


def describe(pictures: Pictures, preprocessing: Preprocessing) -> list[str]:
    """What was found and what is done with it, a line each."""
    total, held = len(pictures.images), int(pictures.held_out.sum())
    classes = pictures.classes
    kinds = "without labels" if classes is None else f"in {len(classes)} classes: {_some(classes)}"
    part = "its own test part" if pictures.found.tests else "a drawn share"
    lines = [
        f"pictures  {total} {kinds}",
        f"          {total - held} to train on, {held} held out ({part})",
        f"resize    {preprocessing}",
    ]
    if preprocessing.resize == "crop":
        lost = [
            count * (1 - min(width, height) / max(width, height))
            for (width, height), count in pictures.sizes.items()
        ]
        if sum(lost) > 0:
            lines.append(
                f"          of which the crop leaves out {sum(lost) / total:.0%} of the pixels, "
                "at the longer sides; --resize stretch keeps everything"
            )
    return lines


def _some(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    return ", ".join(names[:8]) + more

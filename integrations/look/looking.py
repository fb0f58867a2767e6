"""From a run or a checkpoint to the page."""

from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import BinaryIO

import torch
from PIL import Image

from df_heads.evaluation import extract_features
from df_heads.integrations.errors import InputError
from df_heads.integrations.files.atomic import write_whole
from df_heads.integrations.look.checkpoints import subject_of_checkpoint
from df_heads.integrations.look.clusters import cluster
from df_heads.integrations.look.gallery import Gallery, chosen_pictures, names_below
from df_heads.integrations.look.measured import measure
from df_heads.integrations.look.page import build_page
from df_heads.integrations.look.subject import Subject, require_folder, subject_of_run
from df_heads.integrations.own_images.opening import open_pictures
from df_heads.integrations.runs import read_run

PAGE = "look.html"
_CHUNK = 64
Say = Callable[[str], object]


def look_at(
    place: Path | str,
    folder: Path | str | None = None,
    *,
    out: Path | str | None = None,
    most: int = 512,
    clusters: int = 8,
    backbone: str | None = None,
    image_size: int | None = None,
    num_heads: int | None = None,
    skip_unreadable: bool = False,
    say: Say = print,
) -> Path:
    """Write a page, look.html, that shows what a trained model does with pictures.

    Args:
        place: A run folder of df-heads train, or a checkpoint file: of Lightning with one of
            df-heads' methods, or of lightly or solo-learn with a head of df-heads swapped in.
        folder: The pictures to look at, with class folders or without; None for those that a run
            was trained on.
        out: The folder of the page; None for RUN/look, or a folder beside the checkpoint.
        most: At most so many pictures, drawn by a fixed seed.
        clusters: Groups of k-means that stand for classes where there are none.
        backbone: timm's name of a checkpoint's backbone, where it cannot be told.
        image_size: Side in pixels, where a checkpoint does not say it.
        num_heads: Attention heads, where a checkpoint does not say them.
        skip_unreadable: Leave out pictures that cannot be decoded instead of stopping.
        say: Gets a sentence about what was skipped, or takes long.

    Returns:
        The page.

    Raises:
        InputError: If there is no such run, checkpoint or pictures, or the folder of the page
            holds other things.
        OSError: If it cannot be written.
    """
    if most < 4 or clusters < 1:
        raise InputError(
            f"--most {most} must be at least 4 pictures, --clusters {clusters} at least 1."
        )
    place = Path(place).expanduser()
    options = {"--backbone": backbone, "--image-size": image_size, "--num-heads": num_heads}
    if place.is_file():
        subject = subject_of_checkpoint(
            place, backbone=backbone, image_size=image_size, num_heads=num_heads
        )
    else:
        given = [name for name, value in options.items() if value is not None]
        if given:
            raise InputError(f"{given[0]} is for checkpoints; a run folder says it itself.")
        subject = subject_of_run(read_run(place))
    pictures_of = require_folder(subject, None if folder is None else Path(folder))
    target = subject.place if out is None else Path(out).expanduser()
    _refuse_strangers(target)
    if find_spec("umap") is not None:
        say("placing the pictures by UMAP, which compiles itself first: half a minute")
    gallery, features = _gallery(subject, pictures_of, most, clusters, skip_unreadable, say)
    page = build_page(subject, gallery, measure(gallery, features, subject.head))
    target.mkdir(parents=True, exist_ok=True)
    for name, figure in page.figures.items():
        write_whole(target / name, partial(_save, figure))
    # Last: a page stands for all of its figures.
    content = page.html.encode()
    write_whole(target / PAGE, lambda stream: stream.write(content))
    return target / PAGE


def _gallery(
    subject: Subject, folder: Path, most: int, clusters: int, skip_unreadable: bool, say: Say
) -> tuple[Gallery, torch.Tensor]:
    pictures = open_pictures(
        folder, subject.preprocessing, skip_unreadable=skip_unreadable, say=say
    )
    images, kept = chosen_pictures(pictures, most)
    batches = (
        subject.preprocessing(images[start : start + _CHUNK])
        for start in range(0, len(images), _CHUNK)
    )
    features = extract_features(subject.backbone, batches).float()
    broken = int((~features.isfinite()).sum())
    if broken:
        raise InputError(
            f"the features of {subject.name} hold {broken} values that are not finite: it has "
            "diverged, and there is nothing to look at."
        )
    if pictures.labels is not None and pictures.classes is not None:
        groups = torch.from_numpy(pictures.labels[kept])
        present, groups = torch.unique(groups, return_inverse=True)
        names = [pictures.classes[int(i)] for i in present]
        has_classes = len(names) > 1
    else:
        has_classes = False
    if not has_classes:
        groups = cluster(features, clusters)
        names = [f"cluster {number + 1}" for number in range(int(groups.max()) + 1)]
    files = tuple(pictures.found.files[i] for i in kept)
    gallery = Gallery(
        images=images,
        names=names_below(files, pictures.found.folder),
        held_out=torch.from_numpy(pictures.held_out[kept]),
        groups=groups,
        group_names=names,
        has_classes=has_classes,
    )
    return gallery, features


def _refuse_strangers(target: Path) -> None:
    """Check that the folder is free, or of an earlier look."""
    if target.exists() and not target.is_dir():
        raise InputError(f"{target} is a file; name a folder for the page by --out.")
    if target.is_dir() and any(target.iterdir()) and not (target / PAGE).is_file():
        raise InputError(
            f"{target} holds other things than a {PAGE}; name another folder for the page by --out."
        )


def _save(figure: Image.Image, stream: BinaryIO) -> None:
    figure.save(stream, "PNG", optimize=True)

"""The measures of Deep Fusion of a run's snapshots, and the maps of its attention."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from df_heads.benchmarks.harness.base.environment import describe_environment
from df_heads.benchmarks.harness.base.errors import InputError
from df_heads.benchmarks.harness.base.experiment import Experiment
from df_heads.benchmarks.harness.data.images import ImageData
from df_heads.benchmarks.harness.evaluate.evaluation import FinishedRun
from df_heads.benchmarks.harness.store.files import write_struct
from df_heads.benchmarks.harness.store.schema import FusionData, FusionResult, header
from df_heads.benchmarks.harness.train.models import build_model
from df_heads.benchmarks.harness.train.snapshots import read_snapshot
from df_heads.benchmarks.harness.views.building import build_augment
from df_heads.fusion import FusionSummary, measure_fusion, record_attention
from df_heads.integrations.files.atomic import write_whole

FIRST_HEAD = 0
VIEW_SEED = 0


@dataclass(frozen=True, eq=False)
class FusionMaps:
    """The measures of one run and the maps of its first head.

    Attributes:
        summaries: Epoch to measures; 0 is before the first step.
        maps: float16 (layers, N, N) after the last epoch, tokens sorted by class.
        labels: (N,), the class of each token.
        classes: The names of the classes; their numbers where the file has no names.
    """

    summaries: Mapping[int, FusionSummary]
    maps: npt.NDArray[np.float16]
    labels: npt.NDArray[np.int64]
    classes: Sequence[str]


def measure_snapshots(run: FinishedRun, epochs: Sequence[int], file: Path) -> None:
    """Measure the snapshots of a run on one batch of test images and write the files.

    The batch is as long as one of training and holds equally many images of each class. With
    joint views it holds two views of each image, as in training, and a token's other view is
    told apart; with separate views it holds the images as they are.

    Args:
        run: The run.
        epochs: Those with a snapshot.
        file: For the measures; the maps go beside it.

    Raises:
        InputError: If a snapshot is missing or damaged, or the batch has no two images per class.
    """
    experiment, data = run.experiment, run.data
    images, labels = _balanced_images(data, experiment.batch_size // experiment.devices)
    model = build_model(experiment).to(run.machine.device).eval()
    inputs, labels, pairs = _tokens(experiment, images, labels, run.machine.device)
    summaries: dict[int, FusionSummary] = {}
    for epoch in epochs:
        model.load_state_dict(read_snapshot(run.results.work_dir(experiment), epoch))
        with torch.no_grad():
            features = model(inputs)
        summaries[epoch] = measure_fusion(model.projection_head, features, labels, pairs=pairs)
    with torch.no_grad(), record_attention(model.projection_head, heads=[FIRST_HEAD]) as recorded:
        model.projection_head(features)
    maps = torch.stack([recorded[layer][0, 0] for layer in sorted(recorded)])
    _write_maps(file.with_suffix(".npz"), maps, labels)
    write_struct(
        file,
        FusionResult(
            **header(experiment),
            data=FusionData(
                data.name, run.data_note, data.fingerprint, "test", len(labels), data.classes
            ),
            epochs={str(epoch): summary.as_dict() for epoch, summary in summaries.items()},
            environment=describe_environment(run.machine.device.type, 1),
        ),
    )


def load_maps(result: FusionResult, file: Path) -> FusionMaps:
    """The measures as they were, and the maps beside their file.

    Raises:
        InputError: If the maps are not there, or one of the files is damaged.
    """
    try:
        # numpy leaves a file of its own open where it is no archive.
        with (
            file.with_suffix(".npz").open("rb") as stream,
            np.load(stream, allow_pickle=False) as arrays,
        ):
            maps, labels = arrays["maps"], arrays["labels"]
        _check_maps(maps, labels, result.data.tokens)
        classes = result.data.classes or tuple(map(str, range(int(labels.max()) + 1)))
        if labels.max() >= len(classes):
            raise ValueError(f"it has {len(classes)} classes and labels beyond them")
        summaries = {
            int(epoch): FusionSummary.from_dict(summary) for epoch, summary in result.epochs.items()
        }
    # numpy, zipfile and zlib raise what they like for a file that is cut off or overwritten.
    except Exception as error:
        raise InputError(
            f"{file} or its .npz is damaged ({error}); move both away to measure again."
        ) from error
    return FusionMaps(summaries, maps, labels, classes)


def _check_maps(maps: npt.NDArray[Any], labels: npt.NDArray[Any], tokens: int) -> None:
    if maps.dtype != np.float16 or maps.ndim != 3 or maps.shape[1:] != (tokens, tokens):
        raise ValueError(
            f"its maps are {maps.dtype} {maps.shape}, not float16 (layers, {tokens}, {tokens})"
        )
    if labels.dtype != np.int64 or labels.shape != (tokens,) or (labels < 0).any():
        raise ValueError(f"its labels are no classes of {tokens} tokens")
    if not ((maps >= 0) & (maps <= 1)).all():  # not "<" and ">", which let NaN pass
        raise ValueError("its maps hold numbers that are no shares of attention")


def _balanced_images(data: ImageData, tokens: int) -> tuple[Tensor, Tensor]:
    """Test images, equally many of each class and at most `tokens`, sorted by class."""
    counts = np.bincount(data.test_labels, minlength=len(data.classes))
    each = min(tokens // len(data.classes), int(counts.min()))
    if each < 2:
        raise InputError(
            f"A batch of {tokens} test images holds {each} of each of the {len(data.classes)} "
            "classes, and attention to the same class needs 2; raise --batch-size."
        )
    rows = np.concatenate(
        [np.flatnonzero(data.test_labels == label)[:each] for label in range(len(data.classes))]
    )
    return torch.from_numpy(data.test_images[rows]), torch.from_numpy(data.test_labels[rows])


def _tokens(
    experiment: Experiment, images: Tensor, labels: Tensor, device: torch.device
) -> tuple[Tensor, Tensor, Tensor | None]:
    augment = build_augment(experiment).to(device)
    images = images.to(device)
    if experiment.views == "separate":
        return augment.normalize(images), labels, None
    generator = torch.Generator(device).manual_seed(VIEW_SEED)
    views = torch.stack([augment(images, generator), augment(images, generator)], dim=1)
    other = torch.arange(2 * len(labels)).reshape(-1, 2).flip(1).flatten()
    return views.flatten(0, 1), labels.repeat_interleave(2), other


def _write_maps(file: Path, maps: Tensor, labels: Tensor) -> None:
    def write(stream: BinaryIO) -> None:
        np.savez_compressed(stream, maps=maps.half().cpu().numpy(), labels=labels.cpu().numpy())

    write_whole(file, write)

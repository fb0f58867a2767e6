"""What a run's features are worth on a folder of pictures, beside the untrained ones."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from df_heads.collapse import effective_rank, rank_me
from df_heads.evaluation import (
    extract_features,
    knn_accuracy,
    linear_probe_accuracy,
    nearest_neighbor_accuracy,
)
from df_heads.integrations.backbones import build_backbone
from df_heads.integrations.errors import InputError
from df_heads.integrations.own_images.opening import Pictures, Say, open_pictures
from df_heads.integrations.runs import Preprocessing, Run, load_backbone, read_run

NEIGHBORS = 10
#: Shares of the labels that the linear probes get.
PROBES = (0.01, 0.1, 1.0)
CHUNK = 128


@dataclass(frozen=True)
class Evaluation:
    """Numbers of the trained and the untrained backbone, by what they measure.

    Attributes:
        trained: In [0, 1] where they are shares.
        untrained: The same of the backbone before its training.
        has_labels: Whether the numbers are shares of pictures that are told right.
        measured_on: In words.
    """

    trained: Mapping[str, float]
    untrained: Mapping[str, float]
    has_labels: bool
    measured_on: str

    @property
    def worse(self) -> tuple[str, ...]:
        """What training made worse."""
        return tuple(n for n, value in self.trained.items() if value < self.untrained[n])

    def __str__(self) -> str:
        width = max(len(name) for name in self.trained)
        form = "{:8.1%}" if self.has_labels else "{:8.1f}"
        lines = [f"{'':{width}}  untrained   trained"]
        for name, value in self.trained.items():
            before, after = form.format(self.untrained[name]), form.format(value)
            lines.append(f"{name:{width}}   {before}  {after}")
        lines += ["", self.measured_on]
        if self.worse:
            lines.append(f"Training made it worse by: {', '.join(self.worse)}.")
        return "\n".join(lines)


def evaluate(
    run: Run | Path | str,
    folder: Path | str,
    *,
    skip_unreadable: bool = False,
    say: Say = print,
) -> Evaluation:
    """Measure the frozen features of a run on a folder of pictures.

    With labels: the paper's two metrics (arXiv 2403.18681, "Metrics"), nearest-neighbour agreement
    within the held-out pictures and a linear probe on 10 % of the other's labels, the probe with 1
    and 100 % too, and cosine kNN. Without labels there is no accuracy: RankMe (arXiv 2210.02885)
    and the effective rank, how many dimensions the features make use of. Beside each number is that
    of the backbone with the weights that training started from.

    Args:
        run: A run, or its folder.
        folder: Pictures, see own_images.finding.find_pictures; the held-out ones are the folder's
            test part or, of the folder trained on, those that were held out then.
        skip_unreadable: Leave out pictures that cannot be decoded.
        say: Gets a sentence about what was left out.

    Raises:
        InputError: If the run or the pictures cannot be used.
    """
    run = run if isinstance(run, Run) else read_run(run)
    backbone, preprocessing = load_backbone(run)
    pictures = open_pictures(folder, preprocessing, skip_unreadable=skip_unreadable, say=say)
    held = torch.from_numpy(pictures.held_out)
    rest = int((~held).sum())
    both = [
        _measure(_features(module, pictures, preprocessing), pictures)
        for module in (backbone, untrained_backbone(run))
    ]
    if pictures.labels is None:
        on = (
            f"Of {len(held)} pictures without labels: there is no accuracy to measure. More "
            "dimensions are not better by themselves, but few are a sign of collapse."
        )
    else:
        on = (
            f"Of {int(held.sum())} held-out pictures; neighbours and probes have the labels of "
            f"{rest} others, the nearest neighbour is among the held-out ones themselves."
        )
    return Evaluation(both[0], both[1], pictures.labels is not None, on)


def untrained_backbone(run: Run) -> nn.Module:
    """The backbone that the training of a run started from, in evaluation mode.

    Raises:
        InputError: If timm's weights that it started from cannot be loaded.
    """
    backbone, recipe = run.config.backbone, run.config.recipe
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(recipe.get("seed", 0))
            return build_backbone(
                backbone.name,
                image_size=backbone.image_size,
                pretrained=recipe.get("pretrained", False),
                **backbone.options,
            ).eval()
    except (OSError, RuntimeError) as error:
        raise InputError(
            f"the pretrained weights of {backbone.name} cannot be loaded ({error}); they are "
            "needed for comparison."
        ) from error


def _features(backbone: nn.Module, pictures: Pictures, preprocessing: Preprocessing) -> Tensor:
    images = torch.from_numpy(pictures.images)
    return extract_features(backbone, (preprocessing(part) for part in torch.split(images, CHUNK)))


def _measure(features: Tensor, pictures: Pictures) -> dict[str, float]:
    if pictures.labels is None:
        return {
            "RankMe": float(rank_me(features)),
            "effective rank": float(effective_rank(features)),
        }
    held, labels = torch.from_numpy(pictures.held_out), torch.from_numpy(pictures.labels)
    bank, queries = (features[~held], labels[~held]), (features[held], labels[held])
    classes = len(torch.unique(bank[1]))
    if len(queries[0]) < 2 or classes < 2:
        raise InputError(
            f"{pictures.found.folder} leaves {len(queries[0])} pictures held out and "
            f"{classes} class(es) among the others; at least 2 of each are needed: "
            "give more pictures."
        )
    k = min(NEIGHBORS, len(bank[0]))
    measured = {
        "nearest neighbour agrees": nearest_neighbor_accuracy(*queries),
        f"cosine {k}-NN": knn_accuracy(*bank, *queries, k=k),
    }
    for share in PROBES:
        name = f"linear probe, {share:.0%} of labels"
        measured[name] = linear_probe_accuracy(*bank, *queries, train_fraction=share)
    return measured

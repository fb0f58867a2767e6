"""One short training, and whether its outputs collapsed."""

import math
import time
from typing import Any

import torch
from lightly.utils.lars import LARS
from lightly.utils.scheduler import CosineWarmupScheduler
from torch import Tensor, nn

from df_heads.augment import SimCLRAugment, TwoViews
from df_heads.benchmarks.harness.data.images import ImageData
from df_heads.benchmarks.harness.stability.methods import Trained, build_head
from df_heads.benchmarks.harness.stability.recipe import LARS_WEIGHT_DECAY, Recipe
from df_heads.collapse import Collapse, CollapseWatch, measure_collapse
from df_heads.evaluation import knn_accuracy
from df_heads.integrations.backbones import build_backbone, feature_width

SIZE = 16
#: A run whose outputs stay collapsed for so many steps is not trained to its end.
GIVEN_UP = 60


def run_trial(recipe: Recipe, head: str, data: ImageData) -> dict[str, Any]:
    """Train, and say what became of it.

    Args:
        recipe: The recipe.
        head: A name of recipe.HEADS or recipe.CANDIDATES.
        data: Images of 16 x 16.

    Returns:
        The key of the run and: `collapsed`, from the outputs of its last step; `cause`, "parallel",
        "line" or "not finite", None for a living run; `since`, the step from which on it stayed
        collapsed; `alarm`, the step at which CollapseWatch spoke; the measures of the last step;
        the first and the last loss; `knn`, of the backbone's features in percent, of a living run.
    """
    started = time.perf_counter()
    torch.manual_seed(recipe.seed)
    backbone = build_backbone(recipe.backbone, image_size=SIZE)
    width = feature_width(backbone, SIZE)
    torch.manual_seed(recipe.seed + 1)
    model = Trained(recipe.method, backbone, build_head(head, recipe.method, width))
    torch.manual_seed(recipe.seed + 2)
    told = _train(model, recipe, torch.tensor(data.train_images))
    alive = not told["collapsed"]
    knn = _knn(backbone, data) if alive else None
    return {
        **recipe.key(head),
        **told,
        "knn": knn,
        "seconds": round(time.perf_counter() - started, 2),
    }


def _train(model: Trained, recipe: Recipe, images: Tensor) -> dict[str, Any]:
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = _optimizer(recipe, parameters)
    warmup = int(recipe.warmup * recipe.steps)
    scheduler = CosineWarmupScheduler(optimizer, warmup_epochs=warmup, max_epochs=recipe.steps)
    views = TwoViews(SimCLRAugment(SIZE, min_scale=0.3, hf_prob=0.0, cj_strength=0.5))
    watch, alarm, since, losses = CollapseWatch(), None, None, []
    found: Collapse | None = None
    for step in range(recipe.steps):
        rows = torch.randint(len(images), (recipe.batch_size,))
        loss = model.loss(views(images[rows]))
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        if recipe.clip is not None:
            nn.utils.clip_grad_norm_(parameters, recipe.clip)
        optimizer.step()
        scheduler.step()
        model.move_teachers()
        last = step == recipe.steps - 1
        if CollapseWatch.wants(step) or last or not math.isfinite(losses[-1]):
            found = measure_collapse(model.outputs)
            since = (step if since is None else since) if found.collapsed else None
            if alarm is None and watch.take(found):
                alarm = step
            if since is not None and (step - since >= GIVEN_UP or not found.finite):
                break
    assert found is not None
    return {
        "collapsed": found.collapsed,
        "cause": found.cause,
        "since": since,
        "alarm": alarm,
        "steps_run": len(losses),
        "first_loss": _number(losses[0]),
        "last_loss": _number(losses[-1]),
        **{k: _number(getattr(found, k)) for k in ("spread", "mean_cosine", "rank")},
    }


def _optimizer(recipe: Recipe, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
    rate = recipe.learning_rate
    if recipe.optimizer == "adamw":
        return torch.optim.AdamW(parameters, rate)
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(parameters, rate, momentum=0.9)
    # lightly's LARS scales what has weight decay and nothing else: without any it would be SGD.
    optimizer: torch.optim.Optimizer = LARS(
        [
            {"params": [p for p in parameters if p.dim() > 1]},
            {"params": [p for p in parameters if p.dim() < 2], "weight_decay": 0.0},
        ],
        lr=rate,
        momentum=0.9,
        weight_decay=LARS_WEIGHT_DECAY,
    )
    return optimizer


@torch.no_grad()
def _knn(backbone: nn.Module, data: ImageData) -> float:
    backbone.eval()
    augment = SimCLRAugment(SIZE)
    train, test = (
        torch.cat([backbone(augment.normalize(part)) for part in torch.tensor(x).chunk(4)])
        for x in (data.train_images, data.test_images)
    )
    labels = (torch.tensor(y) for y in (data.train_labels, data.test_labels))
    train_labels, test_labels = labels
    return round(100 * knn_accuracy(train, train_labels, test, test_labels, k=10), 2)


def _number(value: float) -> float | None:
    """JSON has no NaN."""
    return float(f"{value:.6g}") if math.isfinite(value) else None

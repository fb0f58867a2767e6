"""What the alarm for collapsed outputs costs: one look at them beside one training step."""

from dataclasses import asdict
from typing import Any

import torch

from df_heads.benchmarks.harness.speed.measuring import summary, time_in_turn
from df_heads.benchmarks.harness.speed.step_rows import IMAGE_SIZE, Setup, eager_update
from df_heads.collapse import EVERY, FIRST_STEPS, CollapseWatch

STEP, LOOK = "eager training step", "one look of CollapseMonitor"


def measure_alarm(setup: Setup, *, repeats: int) -> dict[str, Any]:
    """A step of SimCLR on views that are there already, and a look at its projections.

    Args:
        setup: Backbone, head, batch size and so on.
        repeats: Timed passes of each, taken in turn.

    Returns:
        {"milliseconds": {name: Timing}, "share": of the look in a step that is looked at,
        "first_steps", "every"}: the first steps are all looked at, then every so many.
    """
    shape = (setup.batch_size, 3, IMAGE_SIZE, IMAGE_SIZE)
    views = list(torch.randn(2, *shape, device=setup.device).unbind())
    model = setup.model()
    update = eager_update(setup, model)
    watch = CollapseWatch()
    with torch.no_grad():
        outputs = model.projection_head(model(views[0]))
    passes = {STEP: lambda: update(views), LOOK: lambda: _look(watch, outputs)}
    times = time_in_turn(passes, setup.device, repeats=repeats)
    timings = {name: summary(values) for name, values in times.items()}
    return {
        "backbone": setup.backbone,
        "head": setup.head,
        "batch_size": setup.batch_size,
        "precision": setup.precision,
        "repeats": repeats,
        "milliseconds": {name: asdict(timing) for name, timing in timings.items()},
        "share": timings[LOOK].median / timings[STEP].median,
        "first_steps": FIRST_STEPS,
        "every": EVERY,
    }


def _look(watch: CollapseWatch, outputs: torch.Tensor) -> None:
    watch.look(0, outputs)

"""What result files hold: the fields of each kind, with their types."""

import math
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from df_heads.benchmarks.harness.base.environment import Environment
from df_heads.benchmarks.harness.base.experiment import Experiment
from df_heads.benchmarks.harness.store.files import SCHEMA

Count = Annotated[int, Meta(ge=0)]


class Stored(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What all files of an experiment hold.

    Attributes:
        schema: Version of the form.
        key: Of the experiment.
        config: Its fields.
        environment: What made it.
    """

    schema: int
    key: str
    config: dict[str, Any]
    environment: Environment


class Result(Stored, frozen=True, kw_only=True):
    """Metrics of an experiment.

    Attributes:
        metrics: Accuracies in percent, and losses, by name.
        seconds: Wall time of each phase.
    """

    metrics: dict[str, float]
    seconds: dict[str, float]

    def __post_init__(self) -> None:
        for name, value in {**self.metrics, **self.seconds}.items():
            if not math.isfinite(value):
                raise ValueError(f"{name} is {value}, not a finite number")


class DataUsed(Struct, frozen=True, forbid_unknown_fields=True):
    """The images of a run.

    Attributes:
        name: Of the data set.
        note: What is particular about the copy.
        fingerprint: Of the images and labels.
        train: Number of images that the network was trained on.
        test: Number of images that it was evaluated on.
        classes: Number of classes.
    """

    name: str
    note: str
    fingerprint: str
    train: Count
    test: Count
    classes: Count


class Parameters(Struct, frozen=True, forbid_unknown_fields=True):
    """Numbers of weights."""

    backbone: Count
    head: Count


class RunResult(Result, frozen=True, kw_only=True):
    """A run: trained, and evaluated by the standard metrics.

    Attributes:
        data: Its images.
        parameters: Numbers of weights.
        head_outputs: How the outputs of the head were in the last step; None where they were not
            seen, as those of a compiled step.
    """

    data: DataUsed
    parameters: Parameters
    head_outputs: Literal["living", "parallel", "line", "not finite"] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        for group, values, needed in (
            ("metrics", self.metrics, ("unsupervised", "supervised")),
            ("seconds", self.seconds, ("train", "evaluate")),
        ):
            missing = [name for name in needed if name not in values]
            if missing:
                raise ValueError(f"{group} lacks {', '.join(missing)}")

    @property
    def collapsed(self) -> bool:
        """Whether the run ended collapsed: by the outputs of its head, where they were seen.

        Else by its loss: that of parallel projections, within 1 %. Only SimCLR's tells: BYOL's
        becomes 0 then, and so it does in a good run; MoCo's depends on the keys in the queue.
        """
        if self.head_outputs is not None:
            return self.head_outputs != "living"
        loss, floor = map(self.metrics.get, ("final_train_loss", "collapse_loss"))
        return loss is not None and floor is not None and loss > 0.99 * floor


class EvaluationResult(Result, frozen=True, kw_only=True):
    """Further metrics of a finished run.

    Attributes:
        settings: How they were measured.
    """

    settings: dict[str, Any]


class FusionData(Struct, frozen=True, forbid_unknown_fields=True):
    """The images that attention was measured on.

    Attributes:
        name: Of the data set.
        note: What is particular about the copy.
        fingerprint: Of the images and labels.
        split: "test".
        tokens: How many of them.
        classes: The names of the classes; empty in files of before they were kept.
    """

    name: str
    note: str
    fingerprint: str
    split: str
    tokens: Count
    classes: tuple[str, ...] = ()


class FusionResult(Stored, frozen=True, kw_only=True):
    """The measures of Deep Fusion of a run.

    Attributes:
        data: The images.
        epochs: Epoch -> what FusionSummary.as_dict gives; 0 is before the first step.
    """

    data: FusionData
    epochs: dict[str, dict[str, Any]]


class FailedRun(Struct, frozen=True, forbid_unknown_fields=True):
    """How the last attempt at a run failed, and when, in seconds since 1970."""

    error: str
    time: float


def header(experiment: Experiment) -> dict[str, Any]:
    """The fields of a Stored that say whose it is."""
    return {"schema": SCHEMA, "key": experiment.key, "config": experiment.config()}

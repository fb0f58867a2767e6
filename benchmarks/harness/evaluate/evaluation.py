"""What an evaluation of a finished run is; importing this imports no torch."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec

from df_heads.benchmarks.harness.base.experiment import UNTRAINED, Experiment
from df_heads.benchmarks.harness.base.machine import Machine
from df_heads.benchmarks.harness.store.results import ResultFolder
from df_heads.benchmarks.harness.store.schema import EvaluationResult, Result, RunResult, Stored

if TYPE_CHECKING:
    from torch import nn

    from df_heads.benchmarks.harness.data.images import ImageData
    from df_heads.integrations.method.base import Method


@dataclass(frozen=True, eq=False)
class FinishedRun:
    """What an evaluation gets.

    Attributes:
        experiment: The run.
        data: The images that its backbone is evaluated with, see subsets.images_of.
        results: Where its checkpoint is and the results go.
        machine: What to evaluate on.
        load_images: From the name of a data set to its images, at the run's image size; None where
            the run's own are all.
        data_note: What is particular about this copy of the data.
        backbone_at_hand: The backbone, if the run has only just ended; else it comes from the
            checkpoint.
    """

    experiment: Experiment
    data: "ImageData"
    results: ResultFolder
    machine: Machine
    load_images: Callable[[str], "ImageData"] | None = None
    data_note: str = ""
    backbone_at_hand: "nn.Module | None" = None

    def backbone(self, needed_by: str) -> "nn.Module":
        """The trained backbone, on the CPU if it comes from the checkpoint.

        Raises:
            InputError: If the checkpoint is missing or damaged.
        """
        if self.backbone_at_hand is not None:
            return self.backbone_at_hand
        return self.model(needed_by).backbone

    def model(self, needed_by: str) -> "Method":
        """The model with its trained weights, on the CPU.

        Args:
            needed_by: What the weights are for, in the words of the error.

        Raises:
            InputError: If the checkpoint is missing or damaged.
        """
        from df_heads.benchmarks.harness.train.trained import trained_model

        return trained_model(self.experiment, self.results, needed_by=needed_by)


class Evaluation(ABC):
    """What is measured of a finished run, in a file of its own; made from its last checkpoint.

    Equal evaluations are done once, so a subclass is a frozen dataclass. One that measures numbers
    is a `MetricsEvaluation`.
    """

    #: The form of its result file.
    kind: ClassVar[type[Stored]]

    @property
    @abstractmethod
    def name(self) -> str:
        """In a word; also the folder of its result files."""

    @property
    def columns(self) -> Mapping[str, str]:
        """Heading -> metric of what a table shows of it."""
        return {}

    @abstractmethod
    def run(self, run: FinishedRun) -> None:
        """Measure, and write the file; it appears whole or not at all."""

    def file(self, experiment: Experiment) -> str:
        """Where its results are, or will be, within the results folder."""
        return f"{self.name}/{experiment.name}.json"

    def load(self, results: ResultFolder, experiment: Experiment) -> Stored | None:
        """Its results; None if it was not run.

        Raises:
            InputError: If the file is damaged or holds another experiment.
        """
        return results.load_as(self.kind, results.path / self.file(experiment), experiment)

    def snapshot_epochs(self, experiment: Experiment) -> Collection[int]:
        """The epochs whose weights it needs beside the last checkpoint."""
        return ()

    def is_possible(self, results: ResultFolder, experiment: Experiment) -> bool:
        """Whether the work folder of a finished run still has what it needs."""
        return True

    def check_images(  # noqa: B027  (most use no further images)
        self, result: Stored, experiment: Experiment, load_images: Callable[[str], "ImageData"]
    ) -> None:
        """Check that an earlier result was made from the images of today, if it used further ones.

        Raises:
            InputError: If it was not.
        """


class MetricsEvaluation(Evaluation):
    """An evaluation that gives numbers: a subclass has a `name`, `columns` and `measure`."""

    kind: ClassVar[type[Stored]] = EvaluationResult

    @abstractmethod
    def measure(self, run: FinishedRun) -> tuple[Mapping[str, float], Mapping[str, Any]]:
        """The metrics, in percent where they are shares, and the settings they were made with."""

    def run(self, run: FinishedRun) -> None:
        """Measure, and write the file; it appears whole or not at all."""
        from df_heads.benchmarks.harness.evaluate.storing import measure_and_store

        measure_and_store(self, run)


#: From an experiment to its result with the metrics of some evaluations; None if one was not run.
Load = Callable[[Experiment], RunResult | None]


def loader(results: ResultFolder, evaluations: Iterable[Evaluation] = ()) -> Load:
    """Loads results with the metrics of the evaluations among theirs."""

    def load(experiment: Experiment) -> RunResult | None:
        result = results.load(experiment)
        if result is None or experiment.head == UNTRAINED:
            return result
        metrics = dict(result.metrics)
        for evaluation in evaluations:
            more = evaluation.load(results, experiment)
            if more is None:
                return None
            if isinstance(more, Result):
                metrics |= more.metrics
        return msgspec.structs.replace(result, metrics=metrics)

    return load

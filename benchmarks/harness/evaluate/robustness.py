"""Frozen backbone features where labels are few or wrong, and on images unlike those in training.

Kept in a file of their own beside a run's result and made from its last checkpoint, as the probes
of Table 6 are. Everything but the share of labels follows the paper's protocol: a linear probe on
10 % of the training labels, drawn by the run's seed, scored on the whole test set.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from df_heads.benchmarks.harness.base.errors import InputError
from df_heads.benchmarks.harness.base.experiment import Experiment
from df_heads.benchmarks.harness.base.names import file_name
from df_heads.benchmarks.harness.evaluate.evaluation import FinishedRun, MetricsEvaluation
from df_heads.benchmarks.harness.evaluate.standard import PROBE_FRACTION
from df_heads.benchmarks.harness.store.schema import EvaluationResult, Stored

if TYPE_CHECKING:
    from df_heads.benchmarks.harness.data.images import ImageData

#: In place of another data set: the run's own images with black and white exchanged.
INVERTED = "inverted"
#: The domain shift of each data set that has a natural one.
TARGETS = {"cifar10": "cifar100", "cifar100": "cifar10", "digits": INVERTED}
LABEL_FRACTIONS = (0.01, PROBE_FRACTION, 1.0)
NOISE_RATES = (0.2, 0.4)
TRANSFER, CORRUPTED = "transfer", "corrupted"


def labels_metric(fraction: float) -> str:
    """The metric of a probe on a share of the labels."""
    return f"labels_{100 * fraction:g}"


def noise_metric(rate: float) -> str:
    """The metric of a probe with a share of wrong labels."""
    return f"noise_{100 * rate:g}"


@dataclass(frozen=True)
class Robustness(MetricsEvaluation):
    """Accuracies in percent, see shifts.accuracies_under_shift.

    Attributes:
        transfer_to: The data set that the backbones are probed on too; None for the usual
            counterpart of their own, see TARGETS.
    """

    transfer_to: str | None = None

    @property
    def name(self) -> str:
        """In a word."""
        return "robustness"

    @property
    def columns(self) -> Mapping[str, str]:
        """Heading -> metric of every setting."""
        return {
            **{f"{100 * share:g} % labels": labels_metric(share) for share in LABEL_FRACTIONS},
            **{f"{100 * rate:g} % wrong": noise_metric(rate) for rate in NOISE_RATES},
            f"to {self.transfer_to}" if self.transfer_to else "to another": TRANSFER,
            "corrupted": CORRUPTED,
        }

    def target(self, experiment: Experiment) -> str:
        """The data set that this run is probed on too.

        Raises:
            InputError: If its own has no usual counterpart.
        """
        if self.transfer_to is None and experiment.dataset not in TARGETS:
            raise InputError(
                f"{experiment.dataset} has no usual counterpart; choose one with --transfer-to"
            )
        return self.transfer_to or TARGETS[experiment.dataset]

    def file(self, experiment: Experiment) -> str:
        """Where its results are, or will be, within the results folder."""
        return f"robustness/{experiment.name}-to-{file_name(self.target(experiment))}.json"

    def measure(self, run: FinishedRun) -> tuple[Mapping[str, float], Mapping[str, Any]]:
        """See shifts.accuracies_under_shift."""
        from df_heads.benchmarks.harness.evaluate.shifts import accuracies_under_shift

        target, other = self.target(run.experiment), None
        if target != INVERTED:
            assert run.load_images is not None, "the sweep gives the loader"
            other = run.load_images(target)
        return accuracies_under_shift(run, other)

    def check_images(
        self, result: Stored, experiment: Experiment, load_images: Callable[[str], "ImageData"]
    ) -> None:
        """Check that the other data set is the one of today.

        Raises:
            InputError: If it is not.
        """
        assert isinstance(result, EvaluationResult)
        target = self.target(experiment)
        if target == INVERTED:
            return
        before, now = result.settings["transfer"]["fingerprint"], load_images(target).fingerprint
        if before != now:
            raise InputError(
                f"{self.file(experiment)} was made from other images of {target} (fingerprint "
                f"{before}, not {now}); choose another --out-dir."
            )

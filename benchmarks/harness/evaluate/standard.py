"""The metrics of every run: the paper's two, and cosine k-NN."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from df_heads.benchmarks.harness.base.experiment import Experiment
from df_heads.benchmarks.harness.evaluate.evaluation import FinishedRun, MetricsEvaluation
from df_heads.benchmarks.harness.store.schema import RunResult, Stored

UNSUPERVISED, SUPERVISED = "unsup. %", "sup. %"
PROBE_FRACTION = 0.1  # paper, "Metrics"
KNN_NEIGHBORS = 10


@dataclass(frozen=True)
class Standard(MetricsEvaluation):
    """Done at the end of every run; its file is the run's result."""

    kind: ClassVar[type[Stored]] = RunResult

    @property
    def name(self) -> str:
        """In a word."""
        return "standard"

    @property
    def columns(self) -> Mapping[str, str]:
        """The columns of most tables."""
        return {UNSUPERVISED: "unsupervised", SUPERVISED: "supervised"}

    def file(self, experiment: Experiment) -> str:
        """The run's result file."""
        return f"{experiment.name}.json"

    def measure(self, run: FinishedRun) -> tuple[Mapping[str, float], Mapping[str, Any]]:
        """See scoring.evaluate."""
        from df_heads.benchmarks.harness.evaluate.scoring import evaluate
        from df_heads.benchmarks.harness.views.building import build_augment

        metrics = evaluate(
            run.backbone("this evaluation"),
            run.data,
            build_augment(run.experiment),
            run.experiment.seed,
            run.machine.device,
        )
        return metrics, {"train_fraction": PROBE_FRACTION, "neighbors": KNN_NEIGHBORS}

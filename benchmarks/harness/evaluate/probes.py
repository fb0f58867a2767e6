"""Table 6: deeper classifiers, and features from behind the projection head.

Kept in a file of their own beside a run's result and made from its last checkpoint, so that they
can be had of any finished run, and runs that do not need them do not pay for them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from df_heads.benchmarks.harness.evaluate.evaluation import FinishedRun, MetricsEvaluation

LOCATIONS = ("backbone", "projection")
DEPTHS = (1, 3)
HIDDEN_DIM = 512


def probe_name(location: str, depth: int) -> str:
    """The metric of a classifier with `depth` layers on the features from a location."""
    return f"{location}_{depth}"


@dataclass(frozen=True)
class Probes(MetricsEvaluation):
    """Accuracies in percent by `probe_name`."""

    @property
    def name(self) -> str:
        """In a word."""
        return "probes"

    @property
    def columns(self) -> Mapping[str, str]:
        """Heading -> metric."""
        return {
            f"{location}, {depth} %": probe_name(location, depth)
            for location in LOCATIONS
            for depth in DEPTHS
        }

    def measure(self, run: FinishedRun) -> tuple[Mapping[str, float], Mapping[str, Any]]:
        """See probing.probe_accuracies."""
        from df_heads.benchmarks.harness.evaluate.probing import probe_accuracies

        return probe_accuracies(run)

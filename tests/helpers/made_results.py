"""Results without runs, for tests of what is made from results."""

from collections.abc import Mapping, Sequence
from typing import Any

from df_heads.benchmarks.harness.base.environment import Environment
from df_heads.benchmarks.harness.base.experiment import UNTRAINED, Experiment
from df_heads.benchmarks.harness.evaluate.evaluation import Evaluation
from df_heads.benchmarks.harness.store.files import write_struct
from df_heads.benchmarks.harness.store.results import ResultFolder
from df_heads.benchmarks.harness.store.schema import (
    DataUsed,
    EvaluationResult,
    Parameters,
    RunResult,
    header,
)

FINGERPRINT = "0" * 16
ENVIRONMENT = Environment({"torch": "2.9"}, "3.11", "Linux", "c0ffee", "one CPU")


def made_result(experiment: Experiment, **parts: Any) -> RunResult:
    """A result with usual content; `parts` replace whole fields."""
    usual: dict[str, Any] = {
        "metrics": {"unsupervised": 1.0, "supervised": 2.0},
        "seconds": {"train": 1.0, "evaluate": 1.0},
        "data": DataUsed(experiment.dataset, "", FINGERPRINT, 100, 20, 10),
        "parameters": Parameters(1, 0 if experiment.head == UNTRAINED else 2_000_000),
        "environment": ENVIRONMENT,
    }
    return RunResult(**header(experiment), **{**usual, **parts})


def save_made(
    results: ResultFolder,
    experiment: Experiment,
    curve: Sequence[Mapping[str, float]] = (),
    **parts: Any,
) -> RunResult:
    """Save a made result; returns it."""
    result = made_result(experiment, **parts)
    results.save(experiment, result, curve)
    return result


def save_made_evaluation(
    results: ResultFolder, experiment: Experiment, evaluation: Evaluation, **parts: Any
) -> None:
    """Save results of an evaluation; `parts` replace whole fields."""
    usual: dict[str, Any] = {
        "metrics": {},
        "settings": {},
        "seconds": {evaluation.name: 1.0},
        "environment": ENVIRONMENT,
    }
    file = results.path / evaluation.file(experiment)
    write_struct(file, EvaluationResult(**header(experiment), **{**usual, **parts}))

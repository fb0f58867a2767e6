"""An evaluation's result, from measuring to its file."""

import time

from df_heads.benchmarks.harness.base.environment import describe_environment
from df_heads.benchmarks.harness.evaluate.evaluation import FinishedRun, MetricsEvaluation
from df_heads.benchmarks.harness.store.files import write_struct
from df_heads.benchmarks.harness.store.schema import EvaluationResult, header


def measure_and_store(evaluation: MetricsEvaluation, run: FinishedRun) -> EvaluationResult:
    """Measure, and write the file; it appears whole or not at all.

    Raises:
        InputError: If the run lacks what the evaluation needs.
    """
    started = time.perf_counter()
    metrics, settings = evaluation.measure(run)
    result = EvaluationResult(
        **header(run.experiment),
        metrics=dict(metrics),
        settings=dict(settings),
        seconds={evaluation.name: time.perf_counter() - started},
        environment=describe_environment(run.machine.device.type, 1),
    )
    write_struct(run.results.path / evaluation.file(run.experiment), result)
    return result

"""Many runs: do what is missing, go on when one fails."""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from df_heads.benchmarks.harness.callbacks import TrainingDivergedError
from df_heads.benchmarks.harness.errors import InputError
from df_heads.benchmarks.harness.experiment import Experiment
from df_heads.benchmarks.harness.images import ImageData
from df_heads.benchmarks.harness.machine import Machine, is_first_process
from df_heads.benchmarks.harness.results import ResultFolder
from df_heads.benchmarks.harness.training import run


@dataclass(frozen=True)
class DataSource:
    """Where the images of a sweep come from.

    Attributes:
        load: From the name of a data set and the image size to its images.
        note: What is particular about these copies, kept with every result.
    """

    load: Callable[[str, int], ImageData]
    note: str = ""


def run_missing(
    experiments: Sequence[Experiment],
    source: DataSource,
    results: ResultFolder,
    machine: Machine,
) -> list[str]:
    """Run the experiments that have no result file yet.

    Returns:
        What went wrong, one sentence per failed run; the others were run all the same.

    Raises:
        InputError: If a run cannot start, or a result file was made from other images.
    """
    missing = []
    for experiment in experiments:
        result = results.load(experiment)
        if result is None:
            missing.append(experiment)
        else:
            _check_same_images(experiment, result, source, results)
    if is_first_process():
        done = len(experiments) - len(missing)
        print(f"{len(experiments)} runs, {done} of them done before.", flush=True)
    failures = []
    for number, experiment in enumerate(missing, start=1):
        data = source.load(experiment.dataset, experiment.image_size)
        title = (
            f"[{number}/{len(missing)}] {experiment.dataset} {experiment.head} "
            f"seed {experiment.seed}"
        )
        try:
            content = run(experiment, data, results, machine, data_note=source.note, title=title)
        except TrainingDivergedError as error:
            failures.append(str(error))
            print(f"{title}: failed: {error}", file=sys.stderr)
            continue
        if content is not None:
            metrics = content["metrics"]
            print(
                f"{title}: unsupervised {metrics['unsupervised']:.2f} %, supervised "
                f"{metrics['supervised']:.2f} %, {sum(content['seconds'].values()):.0f} s",
                flush=True,
            )
    return failures


def _check_same_images(
    experiment: Experiment, result: Mapping[str, Any], source: DataSource, results: ResultFolder
) -> None:
    data = source.load(experiment.dataset, experiment.image_size)
    before = result["data"]["fingerprint"]
    if before != data.fingerprint:
        raise InputError(
            f"{results.file(experiment)} was made from other images of {data.name} (fingerprint "
            f"{before}, not {data.fingerprint}); choose another --out-dir."
        )

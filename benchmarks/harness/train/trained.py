"""The model of a finished run, from its last checkpoint."""

import torch
from torch import Tensor

from df_heads.benchmarks.harness.base.errors import InputError
from df_heads.benchmarks.harness.base.experiment import Experiment
from df_heads.benchmarks.harness.store.results import ResultFolder
from df_heads.benchmarks.harness.train.models import build_model
from df_heads.benchmarks.harness.train.training import CHECKPOINT
from df_heads.integrations.method import Method


def trained_model(experiment: Experiment, results: ResultFolder, *, needed_by: str) -> Method:
    """The model with its trained weights, on the CPU.

    Args:
        experiment: A finished run.
        results: Where its checkpoint is.
        needed_by: What the weights are for, in the words of the error.

    Raises:
        InputError: If the checkpoint is missing or damaged.
    """
    model = build_model(experiment)
    file = results.work_dir(experiment) / CHECKPOINT
    try:
        content = torch.load(file, map_location="cpu", weights_only=True, mmap=True)
        state: dict[str, Tensor] = content["state_dict"]
    except Exception as error:  # torch.load raises whatever the damage leads to
        raise InputError(
            f"the trained weights {file} cannot be read ({type(error).__name__}); {needed_by} "
            f"needs them: move {results.file(experiment)} away to train this run again."
        ) from error
    model.load_state_dict(state)
    return model

"""The model of a finished run, from its last checkpoint."""

from df_heads.benchmarks.harness.base.errors import InputError
from df_heads.benchmarks.harness.base.experiment import Experiment
from df_heads.benchmarks.harness.store.results import ResultFolder
from df_heads.benchmarks.harness.train.models import build_model
from df_heads.integrations.files.checkpoint_files import (
    CHECKPOINT,
    read_checkpoint,
)
from df_heads.integrations.files.torch_files import DamagedFileError
from df_heads.integrations.method.base import Method


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
        model.load_state_dict(read_checkpoint(file)["state_dict"])
    except (DamagedFileError, RuntimeError) as error:  # the latter: of another network
        reason = str(error).splitlines()[0]
        raise InputError(
            f"the trained weights {file} cannot be read ({reason}); {needed_by} needs them: move "
            f"{results.file(experiment)} away to train this run again."
        ) from error
    return model

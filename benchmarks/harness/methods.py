"""Training methods by name."""

import inspect
from typing import Any

from df_heads.benchmarks.harness.errors import InputError
from df_heads.benchmarks.harness.experiment import Experiment
from df_heads.integrations.byol import BYOL
from df_heads.integrations.method import Method
from df_heads.integrations.moco import MoCo
from df_heads.integrations.simclr import SimCLR

#: Name -> class. The arguments of its constructor are taken from the fields of an Experiment.
METHODS: dict[str, type[Method]] = {"simclr": SimCLR, "moco": MoCo, "byol": BYOL}

# Fields that not every method has an argument for.
OPTIONS = ("temperature", "queue_size", "teacher_momentum", "loss_chunk_size")


def build_model(experiment: Experiment) -> Method:
    """The untrained model of an experiment.

    Raises:
        InputError: If a part of it cannot be built, or the method has no use for a value.
    """
    if experiment.method not in METHODS:
        raise InputError(f"no method {experiment.method!r}; choose from {', '.join(METHODS)}.")
    method = METHODS[experiment.method]
    taken = inspect.signature(method).parameters
    for name in OPTIONS:
        value = getattr(experiment, name)
        if name not in taken and value != getattr(Experiment, name):
            raise InputError(
                f"{name}={value} has no meaning for {experiment.method}; leave it out."
            )
    options: dict[str, Any] = {
        name: getattr(experiment, name) for name in taken if hasattr(experiment, name)
    }
    options = {name: value for name, value in options.items() if value is not None}
    if "gather_distributed" in taken:
        options["gather_distributed"] = experiment.devices > 1
    try:
        model = method(**options)
        model.check_batch_size(experiment.batch_size // experiment.devices, experiment.devices)
    except ValueError as error:
        raise InputError(str(error)) from error
    return model

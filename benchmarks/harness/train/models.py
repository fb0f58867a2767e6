"""The untrained model of an experiment."""

import inspect
from typing import cast

import torch
from torch import nn

import df_heads.benchmarks.harness.train.cnn4  # noqa: F401  (makes the backbone known)
from df_heads.benchmarks.harness.base.errors import InputError
from df_heads.benchmarks.harness.base.experiment import SETTINGS, Experiment
from df_heads.benchmarks.harness.base.names import family
from df_heads.benchmarks.harness.train.class_oracle import ClassOracle
from df_heads.benchmarks.harness.train.heads import HEADS, build_named_head
from df_heads.benchmarks.harness.train.methods import METHOD_FIELDS, METHODS
from df_heads.integrations.backbones import build_backbone, feature_width
from df_heads.integrations.choices import Stem
from df_heads.integrations.compiled.simclr import CompiledSimCLR
from df_heads.integrations.method.base import Method


def build_model(experiment: Experiment) -> Method:
    """The untrained model of an experiment.

    Raises:
        InputError: If a part of it cannot be built, or the method has no use for a value.
    """
    found = METHODS.find(experiment.method)()
    method = CompiledSimCLR if experiment.compiled else found
    if experiment.compiled:
        _check_compiled(experiment)
    if HEADS.find(family(experiment.head)).told_classes:
        _check_oracle(experiment)
        method = ClassOracle
    taken = inspect.signature(method).parameters
    for name in METHOD_FIELDS:
        value = getattr(experiment, name)
        if name not in taken and value != getattr(Experiment, name):
            raise InputError(
                f"{name}={value} has no meaning for {experiment.method}; leave it out."
            )
    given = {name: getattr(experiment, name) for name in SETTINGS}
    given["head_options"] = experiment.head_options
    options = {name: given[name] for name in taken if given.get(name) is not None}
    if "gather_distributed" in taken:
        options["gather_distributed"] = experiment.devices > 1
    try:
        if not HEADS.find(family(experiment.head)).preset:
            options.pop("head_options", None)
            options |= _modules(experiment, method)
        model = method(**options)
        model.check_batch_size(experiment.batch_size // experiment.devices, experiment.devices)
    except ValueError as error:
        raise InputError(str(error)) from error
    return model


def untrained_backbone(experiment: Experiment) -> nn.Module:
    """The backbone of an experiment with its first weights.

    Raises:
        InputError: If it cannot be built.
    """
    try:
        return build_backbone(
            experiment.backbone, stem=cast(Stem, experiment.stem), image_size=experiment.image_size
        )
    except ValueError as error:
        raise InputError(str(error)) from error


def _check_compiled(experiment: Experiment) -> None:
    needed = {"method": "simclr", "augment": "ours", "devices": 1, "precision": None}
    needed["precision"] = "32-true" if experiment.precision == "32-true" else "bf16-mixed"
    for name, value in needed.items():
        if getattr(experiment, name) != value:
            raise InputError(
                f"--compiled cannot run with {name}={getattr(experiment, name)}; use "
                f"--{name} {value}, or --no-compiled."
            )


def _check_oracle(experiment: Experiment) -> None:
    if experiment.method != "simclr" or experiment.compiled:
        raise InputError(
            f"the head {experiment.head} is told the classes by SimCLR's eager step only; use "
            "--method simclr and --no-compiled."
        )


def _modules(experiment: Experiment, method: type[Method]) -> dict[str, nn.Module]:
    """Backbone and head of an experiment whose head the methods do not know by name."""
    backbone = untrained_backbone(experiment)
    # As in Method: what comes after must not depend on how many random numbers a head draws.
    with torch.random.fork_rng():
        width = feature_width(backbone, experiment.image_size)
        head_options = {**method.head_defaults, **experiment.head_options}
        head = build_named_head(experiment.head, width, **head_options)
    return {"backbone": backbone, "head": head}

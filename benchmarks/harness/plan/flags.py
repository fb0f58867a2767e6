"""Command-line flags that the benchmark scripts share."""

import argparse
import dataclasses
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

from df_heads.benchmarks.harness.base.errors import (
    InputError,
    LostProcessError,
)
from df_heads.benchmarks.harness.base.experiment import DATA, MACHINE, RECIPE, SETTINGS, Experiment
from df_heads.benchmarks.harness.base.machine import Machine, is_first_process
from df_heads.benchmarks.harness.base.registry import Registry
from df_heads.benchmarks.harness.train.methods import METHODS, defaults_of
from df_heads.integrations.command.running import run_command
from df_heads.integrations.training.interruption import Interrupted, requeue

if TYPE_CHECKING:
    from df_heads.benchmarks.harness.sweep.missing import DataSource

_FIELDS = {field.name: field for field in dataclasses.fields(Experiment)}
_TYPES = get_type_hints(Experiment)


def add_shared_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of data, recipe, machine and output.

    Those of an experiment's fields are made from the fields, see base.settings.
    """
    data = parser.add_argument_group("data")
    data.add_argument(
        "--data-dir",
        type=folder,
        help="torchvision files, or [NAME/]train/<class>/* and test/<class>/* (default: download)",
    )
    data.add_argument(
        "--data-note",
        default="",
        help="what is particular about this copy of the data; kept with every result",
    )
    data.add_argument(
        "--cache-dir", type=folder, help="decoded images (default: ~/.cache/df-heads)"
    )
    _add_fields(data, DATA)

    recipe = parser.add_argument_group("recipe; defaults are the paper's where it gives a value")
    _add_fields(recipe, RECIPE)

    machine = parser.add_argument_group("machine")
    machine.add_argument(
        "--accelerator", choices=("auto", "cpu", "gpu"), default="auto", help="default: %(default)s"
    )
    _add_fields(machine, MACHINE)
    machine.add_argument(
        "--workers",
        type=int,
        default=0,
        help="processes that gather batches (default: %(default)s)",
    )

    machine.add_argument(
        "--checkpoint-minutes",
        type=float,
        default=Machine.checkpoint_minutes,
        metavar="MINUTES",
        help="training that a killed run loses at most (default: %(default)g)",
    )

    output = parser.add_argument_group("output")
    output.add_argument(
        "--out-dir",
        type=folder,
        default=Path("runs"),
        help="result files, tables, checkpoints (default: %(default)s)",
    )
    output.add_argument(
        "--logger",
        choices=("csv", "tensorboard", "none"),
        default="csv",
        help="default: %(default)s",
    )
    output.add_argument(
        "--progress", action=argparse.BooleanOptionalAction, default=True, help="progress bar"
    )
    output.add_argument(
        "--resume",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="go on from the checkpoint of an interrupted run, or start it again",
    )


def folder(value: str) -> Path:
    """An argparse type: a path that can name a folder or a file; ~ is the home folder."""
    if not value.strip() or "\0" in value:
        raise argparse.ArgumentTypeError(f"{value!r} names no folder or file")
    try:
        return Path(value).expanduser()
    except RuntimeError as error:  # ~nobody
        raise argparse.ArgumentTypeError(f"{value!r}: there is no such user") from error


def seed(value: str) -> int:
    """An argparse type: a whole number that all random generators take."""
    limits = SETTINGS["seed"]
    try:
        number = int(value)
        limits.check("seed", number)
    except ValueError as error:
        raise argparse.ArgumentTypeError(
            f"{value!r} must be a whole number from {limits.least} to {limits.most}"
        ) from error
    return number


def _add_fields(group: "argparse._ArgumentGroup", name: str) -> None:
    """A flag for each field of an experiment that belongs to the group."""
    for field, about in SETTINGS.items():
        if about.group != name:
            continue
        # Which default it is depends on the method: see experiment_from.
        default = None if about.defaults_of_methods else _FIELDS[field].default
        source = f" [{about.source}]" if about.source else ""
        usual = about.default_help or "%(default)s"
        options: dict[str, Any] = {"default": default}
        only = f", {' and '.join(about.methods)} only" if about.methods else ""
        options["help"] = f"{about.help}{only}{source} (default: {usual})"
        kind = _kind(field)
        if kind is bool:
            options["action"] = argparse.BooleanOptionalAction
        elif about.choices:
            options["choices"] = about.choices
        else:
            options["type"] = kind
            options["metavar"] = about.metavar
        if field == "method":
            options["type"] = known(METHODS)
            options["help"] = (
                f"of {', '.join(METHODS.names())}, or an import path (default: %(default)s)"
            )
        group.add_argument(f"--{field.replace('_', '-')}", **options)


def _kind(field: str) -> type:
    """The type of a field's value that is not None."""
    hint = _TYPES[field]
    kinds: list[type] = [each for each in get_args(hint) or (hint,) if each is not type(None)]
    return kinds[0]


def known(registry: Registry[Any]) -> Callable[[str], str]:
    """An argparse type: a name of the registry, an entry point's or an import path."""

    def check(value: str) -> str:
        try:
            registry.find(value)
        except InputError as error:
            raise argparse.ArgumentTypeError(str(error)) from error
        return value

    return check


def names(accepted: Sequence[str]) -> Callable[[str], str]:
    """An argparse type: one of `accepted`, or an error that lists them."""

    def check(value: str) -> str:
        if value not in accepted:
            raise argparse.ArgumentTypeError(
                f"{value!r} is not known; choose from {', '.join(accepted)}"
            )
        return value

    return check


def known_or(extra: str, registry: Registry[Any]) -> Callable[[str], str]:
    """An argparse type: `extra`, or what `known` accepts."""
    check = known(registry)
    return lambda value: value if value == extra else check(value)


def experiment_from(
    args: argparse.Namespace, *, dataset: str, head: str, backbone: str, seed: int
) -> Experiment:
    """The experiment of one cell, the rest of it from the shared flags."""
    shared = {name: getattr(args, name) for name, about in SETTINGS.items() if about.group}
    for name, value in defaults_of(args.method).items():
        shared[name] = value if shared[name] is None else shared[name]
    return Experiment(dataset=dataset, head=head, backbone=backbone, seed=seed, **shared)


def machine_from(args: argparse.Namespace) -> Machine:
    """The machine of the shared flags."""
    machine = Machine(
        accelerator=args.accelerator,
        workers=args.workers,
        logger=args.logger,
        progress=args.progress,
        resume=args.resume,
        checkpoint_minutes=args.checkpoint_minutes,
    )
    machine.check(args.devices)
    return machine


def source_from(args: argparse.Namespace) -> "DataSource":
    """The images of the shared flags."""
    from df_heads.benchmarks.harness.data.images import load_images
    from df_heads.benchmarks.harness.sweep.missing import DataSource

    return DataSource(
        lambda name, size: load_images(
            name, data_dir=args.data_dir, image_size=size, cache_dir=args.cache_dir
        ),
        note=args.data_note,
    )


def run_script(
    main: Callable[[Sequence[str] | None], int], arguments: Sequence[str] | None = None
) -> int:
    """Run a script's main; what it cannot help becomes one sentence.

    Returns:
        The script's exit code; 1 if another process of a run is gone; 2 for bad input and for a
        disk that is full or not to be written to; 128 and the signal's number if one asked it to
        stop.
    """

    def guarded() -> int:
        try:
            return main(arguments)
        except LostProcessError as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
        except Interrupted as stop:
            if is_first_process():
                print(f"\n{stop}", file=sys.stderr)
                if (requeued := requeue(stop.signum)) is not None:
                    print(requeued, file=sys.stderr)
            return stop.exit_code

    return run_command(guarded)

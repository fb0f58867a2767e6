"""What an output folder holds already, and where its training goes on."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from df_heads.integrations.errors import InputError
from df_heads.integrations.files.checkpoint_files import existing_checkpoints, read_checkpoint
from df_heads.integrations.files.torch_files import DamagedFileError
from df_heads.integrations.runs import Run, read_run
from df_heads.integrations.training.checkpoints import OWNER

#: Left by a training that was stopped before it wrote anything.
_HARMLESS = {".lock"}


def earlier_run(path: Path, given: Mapping[str, Any]) -> Run | None:
    """The run that the folder holds, if its settings are not other than those given.

    Args:
        path: Need not exist.
        given: Settings of Recipe; None stands for any.

    Raises:
        InputError: If the folder holds something else, or a run with other settings.
    """
    if path.exists() and not path.is_dir():
        raise InputError(f"{path} is a file; choose another --out.")
    if not path.exists() or {child.name for child in path.iterdir()} <= _HARMLESS:
        return None
    try:
        run = read_run(path, unfinished=True)
    except InputError as error:
        raise InputError(f"{error} Nothing is written there; choose another --out.") from error
    recipe = run.config.recipe
    for name, value in given.items():
        if value is not None and name in recipe and recipe[name] != value:
            flag = f"--{name.replace('_', '-')}"
            raise InputError(
                f"{path} holds a run with {flag} {recipe[name]}, not {value}; choose another "
                f"--out, or leave {flag} out to go on with it."
            )
    return run


def checkpoint_to_resume(
    run: Run, owner: Mapping[str, Any], say: Callable[[str], object]
) -> Path | None:
    """The newest whole checkpoint of a run; None if it has none.

    Raises:
        InputError: If all are damaged, or one belongs to another run.
    """
    damaged = []
    for file in existing_checkpoints(run.checkpoints):
        try:
            content = read_checkpoint(file)
        except DamagedFileError as error:
            damaged.append(f"checkpoint {file} is damaged ({error})")
            continue
        if content.get(OWNER) != dict(owner):
            raise InputError(f"checkpoint {file} is of another run; choose another --out.")
        for sentence in damaged:
            say(f"{sentence}; going on from the one before.")
        say(f"going on from {file}, after step {content.get('global_step')}")
        return file
    if damaged:
        raise InputError(f"{damaged[0]}; delete it to start again, or choose another --out.")
    return None

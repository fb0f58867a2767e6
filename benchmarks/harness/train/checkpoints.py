"""What a run's checkpoints belong to, and which one it goes on from."""

import sys
from pathlib import Path
from typing import Any

from df_heads.benchmarks.harness.base.errors import InputError
from df_heads.benchmarks.harness.base.experiment import Experiment
from df_heads.integrations.files.checkpoint_files import existing_checkpoints, read_checkpoint
from df_heads.integrations.files.torch_files import DamagedFileError
from df_heads.integrations.training.checkpoints import OWNER


def owner_of(experiment: Experiment, fingerprint: str) -> dict[str, Any]:
    """What a checkpoint belongs to: the run, and the images that it was trained on."""
    return {"experiment": experiment.config(), "images": fingerprint}


def checkpoint_to_resume(experiment: Experiment, fingerprint: str, folder: Path) -> Path | None:
    """The newest whole checkpoint of a run; None if it has none.

    Raises:
        InputError: If all are damaged, or one belongs to another run or other images.
    """
    damaged: list[str] = []
    for file in existing_checkpoints(folder):
        try:
            content = read_checkpoint(file)
        except DamagedFileError as error:
            damaged.append(f"checkpoint {file} is damaged ({error})")
            continue
        _check_owner(file, content, experiment, fingerprint)
        if damaged:
            print(
                f"{damaged[-1]}; going on from the one before, after step "
                f"{content.get('global_step')}.",
                file=sys.stderr,
            )
        return file
    if damaged:
        raise InputError(f"{damaged[0]}; delete it to start this run again, or use --no-resume.")
    return None


def _check_owner(
    file: Path, content: dict[str, Any], experiment: Experiment, fingerprint: str
) -> None:
    owner = content.get(OWNER)
    if not isinstance(owner, dict) or not experiment.matches(owner.get("experiment")):
        raise InputError(
            f"checkpoint {file} is not of this run; move it away, or use --no-resume to start "
            "again."
        )
    if owner.get("images") != fingerprint:
        raise InputError(
            f"checkpoint {file} was trained on other images (fingerprint "
            f"{owner.get('images')}, not {fingerprint}); choose another --out-dir, or use "
            "--no-resume to start again."
        )

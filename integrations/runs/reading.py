"""Reading a run folder back."""

from pathlib import Path

import msgspec

from df_heads.integrations.errors import InputError
from df_heads.integrations.runs.run import CONFIG, FORMAT, Run, RunConfig


def read_run(path: Path | str, *, unfinished: bool = False) -> Run:
    """Read the run in a folder; nothing in it is changed.

    Args:
        path: The folder.
        unfinished: Whether a run whose training has not come to its end will do.

    Raises:
        InputError: If there is no run, its config is damaged or newer than this version, or it is
            not finished.
    """
    folder = Path(path).expanduser()
    file = folder / CONFIG
    if not folder.is_dir():
        raise InputError(f"there is no run folder {folder}; df-heads train FOLDER makes one.")
    try:
        content = file.read_bytes()
    except FileNotFoundError as error:
        raise InputError(
            f"{folder} is not a run folder: it has no {CONFIG}; give the folder that "
            "df-heads train wrote."
        ) from error
    try:
        found = msgspec.json.decode(content, type=_Format)
        if found.format <= FORMAT:
            config = msgspec.json.decode(content, type=RunConfig)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(
            f"{file} is not what df-heads train wrote ({error}); give another run folder, or "
            "train into a new one."
        ) from error
    if found.format > FORMAT:
        raise InputError(
            f"{file} was written by a newer df-heads (format {found.format}, this one reads "
            f"{FORMAT}); upgrade df-heads."
        )
    if not config.finished and not unfinished:
        raise InputError(
            f"the run {folder} is not finished; finish it with its own command: {config.command}"
        )
    return Run(folder, config)


class _Format(msgspec.Struct):
    """What tells a config.json of ours from anybody else's."""

    format: int
    df_heads: str

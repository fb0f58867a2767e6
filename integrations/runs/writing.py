"""Writing a run folder."""

from pathlib import Path

import msgspec

from df_heads.integrations.files.atomic import write_whole
from df_heads.integrations.runs.run import CONFIG, Run, RunConfig


def write_config(path: Path, config: RunConfig) -> Run:
    """Write a run's config.json, whole or not at all; the folder is made if it is not there.

    Raises:
        OSError: If it cannot be written.
    """
    path.mkdir(parents=True, exist_ok=True)
    content = msgspec.json.format(msgspec.json.encode(config), indent=1) + b"\n"
    write_whole(path / CONFIG, lambda stream: stream.write(content))
    return Run(path, config)

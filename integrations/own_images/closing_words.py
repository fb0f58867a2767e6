"""What is said at the end of a training: what it was worth, and what to do next."""

import shlex
from pathlib import Path

from df_heads.integrations.own_images.epoch_report import in_words
from df_heads.integrations.runs import Run


def closing_words(run: Run, folder: Path) -> list[str]:
    """The last lines of a training."""
    found = run.config.features
    lines = []
    if found is not None:
        before, after = (
            in_words(found.metric, value) for value in (found.untrained, found.trained)
        )
        lines.append(f"features  {after} after training, {before} before")
        if found.trained < found.untrained:
            lines.append(
                "          Training made the features worse. Train longer (--epochs), with "
                "another --learning-rate, or start from a --pretrained backbone."
            )
    path, pictures = shlex.quote(str(run.path)), shlex.quote(str(folder))
    return [
        *lines,
        f"written   {run.path}: {', '.join(file.name for file in _files(run))}",
        "next      " + f"df-heads look {path} {pictures}",
        "          " + f"df-heads evaluate {path} {pictures}",
    ]


def _files(run: Run) -> list[Path]:
    return [run.backbone_file, run.head_file, run.path / "config.json", run.curve_file]

"""Checkpoints of solo-learn with other content: one sentence."""

from pathlib import Path
from typing import Any

import pytest

from df_heads.integrations.files.torch_files import write_torch

pytest.importorskip("solo.methods", reason="solo-learn is not installed", exc_type=ImportError)
from df_heads.integrations.solo_learn.backbone import load_backbone

RUN: dict[str, Any] = {
    **{"backbone": "resnet18", "method": "simclr", "dataset": "cifar10", "backbone_kwargs": {}}
}
NO_RUNS: dict[str, Any] = {
    "no dict": [1],
    "no entry": {"state_dict": {}},
    "no weights": {"df_heads": RUN},
    "weights that are a list": {"df_heads": RUN, "state_dict": []},
    "weights that are words": {"df_heads": RUN, "state_dict": {"backbone.x": "y"}},
    "an entry that is text": {"df_heads": "simclr", "state_dict": {}},
    **{f"no {key}": {"df_heads": {**RUN, key: None}, "state_dict": {}} for key in RUN},
}


@pytest.mark.parametrize("kind", NO_RUNS)
def test_runs_of_solo_learn_with_wrong_fields(kind: str, tmp_path: Path) -> None:
    write_torch(tmp_path / "run.ckpt", NO_RUNS[kind])
    with pytest.raises(ValueError, match="is no checkpoint of a|is damaged, or of another version"):
        load_backbone(tmp_path / "run.ckpt")


def test_a_run_of_solo_learn_that_is_text(tmp_path: Path) -> None:
    (tmp_path / "run.ckpt").write_text("hello")
    with pytest.raises(ValueError, match="cannot be read as a checkpoint"):
        load_backbone(tmp_path / "run.ckpt")

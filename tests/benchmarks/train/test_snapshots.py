import dataclasses
from pathlib import Path
from typing import Any

import pytest
import timm
import torch

from df_heads.benchmarks.harness.base.errors import InputError
from df_heads.benchmarks.harness.base.experiment import Experiment
from df_heads.benchmarks.harness.base.machine import Machine
from df_heads.benchmarks.harness.data.images import ImageData
from df_heads.benchmarks.harness.store.results import ResultFolder
from df_heads.benchmarks.harness.sweep.run import run
from df_heads.benchmarks.harness.train.cnn4 import CNN4
from df_heads.benchmarks.harness.train.models import build_model
from df_heads.benchmarks.harness.train.snapshots import Snapshots, read_snapshot, snapshot_file
from df_heads.integrations.backbones import build_backbone

MACHINE = Machine(accelerator="cpu", logger="none", progress=False)
TINY = Experiment(
    "digits", "transformer", backbone="cnn4", image_size=16, epochs=3, batch_size=16, num_layers=1
)


def test_the_cnn_is_a_timm_model() -> None:
    backbone = build_backbone("cnn4")
    assert isinstance(backbone, CNN4)
    assert backbone(torch.zeros(2, 3, 28, 28)).shape == (2, 128)
    with pytest.raises(ValueError, match="cnn4 has neither weights nor a classifier"):
        timm.create_model("cnn4", num_classes=10)


def test_weights_are_kept_at_the_chosen_epochs(tmp_path: Path, tiny_data: ImageData) -> None:
    results = ResultFolder(tmp_path)
    run(TINY, tiny_data, results, MACHINE, snapshot_epochs=[0, 2, 3])
    folder = results.work_dir(TINY)
    assert sorted(file.name for file in folder.glob("*.pt")) == [
        "epoch-0000.pt",
        "epoch-0002.pt",
        "epoch-0003.pt",
    ]
    last = torch.load(folder / "last.ckpt", weights_only=True)["state_dict"]
    torch.testing.assert_close(read_snapshot(folder, 3), last, rtol=0, atol=0)
    assert not torch.equal(read_snapshot(folder, 2)["backbone.layers.0.weight"],
                           last["backbone.layers.0.weight"])  # fmt: skip
    build_model(TINY).load_state_dict(read_snapshot(folder, 0))


def killed_in_the_third_epoch(_self: Any, trainer: Any, _module: Any) -> None:
    if trainer.current_epoch == 2:
        raise RuntimeError("killed")


def test_a_resumed_run_keeps_its_untrained_weights(
    tmp_path: Path, tiny_data: ImageData, monkeypatch: pytest.MonkeyPatch
) -> None:
    straight, resumed = ResultFolder(tmp_path / "straight"), ResultFolder(tmp_path / "resumed")
    run(TINY, tiny_data, straight, MACHINE, snapshot_epochs=[0, 1, 3])
    with monkeypatch.context() as patch:
        patch.setattr(Snapshots, "on_train_epoch_start", killed_in_the_third_epoch, raising=False)
        with pytest.raises(RuntimeError, match="killed"):
            run(TINY, tiny_data, resumed, MACHINE, snapshot_epochs=[0, 1, 3])
    run(TINY, tiny_data, resumed, MACHINE, snapshot_epochs=[0, 1, 3])
    for epoch in (0, 3):
        torch.testing.assert_close(
            read_snapshot(resumed.work_dir(TINY), epoch),
            read_snapshot(straight.work_dir(TINY), epoch),
            rtol=0,
            atol=0,
        )


def test_damaged_weights(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read .FileNotFoundError.; delete the folder"):
        read_snapshot(tmp_path, 1)
    snapshot_file(tmp_path, 1).write_bytes(b"nothing")
    with pytest.raises(InputError, match="epoch-0001.pt cannot be read"):
        read_snapshot(tmp_path, 1)


def test_depth_decides_the_model() -> None:
    deeper = dataclasses.replace(TINY, num_layers=3)
    head: Any = build_model(deeper).projection_head
    assert len(head.blocks) == 3

"""Damaged files, and bytes that are no such file at all, are refused in one sentence."""

import random
import shutil
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from df_heads.benchmarks.harness.base.errors import InputError
from df_heads.benchmarks.harness.train.checkpoint_files import CheckpointFiles, read_checkpoint
from df_heads.benchmarks.harness.train.snapshots import read_snapshot
from df_heads.integrations.files.pictures import open_rgb
from df_heads.integrations.files.torch_files import DamagedFileError, write_torch

DAMAGES = 50
EXAMPLES = 200


def flip_a_bit(content: bytes, draw: random.Random) -> bytes:
    """In the weights, which are all but the ends of the file."""
    damaged = bytearray(content)
    damaged[draw.randrange(len(damaged) // 4, 3 * len(damaged) // 4)] ^= 1 << draw.randrange(8)
    return bytes(damaged)


def cut_off(content: bytes, draw: random.Random) -> bytes:
    return content[: draw.randrange(len(content))]


def lose_a_block(content: bytes, draw: random.Random) -> bytes:
    """As a disk does that lost what was not forced to it."""
    start = draw.randrange(len(content) // 4, len(content) // 2)
    return content[:start] + bytes(512) + content[start + 512 :]


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of 400 KB; no byte of its weights is 0."""
    file = tmp_path_factory.mktemp("good") / "last.ckpt"
    weights = {"weight": torch.rand(300, 300) + 1, "bias": torch.rand(300) + 1}
    CheckpointFiles().save_checkpoint({"state_dict": weights, "global_step": 3}, file)
    return file


@pytest.mark.parametrize("damage", [flip_a_bit, cut_off, lose_a_block])
def test_damaged_checkpoints(
    damage: Callable[[bytes, random.Random], bytes],
    good: Path,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    content = good.read_bytes()
    for seed in range(DAMAGES):
        damaged = damage(content, random.Random(seed))
        (tmp_path / "last.ckpt").write_bytes(damaged)
        shutil.copy(tmp_path / "last.ckpt", tmp_path / "epoch-0001.pt")
        with pytest.raises(DamagedFileError):
            read_checkpoint(tmp_path / "last.ckpt")
        with pytest.raises(InputError, match="cannot be read"):
            read_snapshot(tmp_path, 1)
    record_property("count", 2 * DAMAGES)


def test_whole_files_are_read(good: Path, tmp_path: Path) -> None:
    assert read_checkpoint(good)["global_step"] == 3
    write_torch(tmp_path / "epoch-0001.pt", {"weight": torch.ones(2)})
    assert read_snapshot(tmp_path, 1)["weight"].tolist() == [1, 1]


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(content=st.binary(max_size=300))
def test_any_bytes_as_a_checkpoint(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "last.ckpt").write_bytes(content)
    with pytest.raises(DamagedFileError):
        read_checkpoint(tmp_path / "last.ckpt")


def _beginning(kind: str) -> bytes:
    stream = BytesIO()
    Image.new("RGB", (4, 4), "red").save(stream, kind)
    return stream.getvalue()


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    start=st.sampled_from([b"", *map(_beginning, ("PNG", "JPEG", "BMP", "TIFF", "WEBP", "GIF"))]),
    kept=st.integers(0, 400),
    rest=st.binary(max_size=100),
)
def test_any_bytes_as_an_image(start: bytes, kept: int, rest: bytes, tmp_path: Path) -> None:
    """Either an RGB image or one sentence that names the file."""
    file = tmp_path / "x.png"
    file.write_bytes(start[:kept] + rest)
    said = ""
    try:
        assert open_rgb(file).mode == "RGB"
    except InputError as error:
        said = str(error)
    assert not said or str(file) in said

"""Damaged files, and bytes that are no such file at all, are refused in one sentence."""

import os
import random
import shutil
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from made_results import ENVIRONMENT, FINGERPRINT
from PIL import Image

from df_heads.benchmarks.harness.base.errors import InputError
from df_heads.benchmarks.harness.base.experiment import Experiment
from df_heads.benchmarks.harness.evaluate.fusing import FusionMaps, load_maps
from df_heads.benchmarks.harness.store.schema import FusionData, FusionResult, header
from df_heads.benchmarks.harness.train.snapshots import read_snapshot
from df_heads.integrations.files.checkpoint_files import CheckpointFiles, read_checkpoint
from df_heads.integrations.files.pictures import open_rgb
from df_heads.integrations.files.torch_files import DamagedFileError, write_torch

DAMAGES = 50
KINDS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP", "GIF")
EXAMPLES = 10_000 if "DF_HEADS_FAULTS" in os.environ else 50


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


def test_any_bytes_as_a_checkpoint(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    @settings(max_examples=EXAMPLES, deadline=None, database=None)
    @given(content=st.binary(max_size=300))
    def check(content: bytes) -> None:
        (tmp_path / "last.ckpt").write_bytes(content)
        with pytest.raises(DamagedFileError):
            read_checkpoint(tmp_path / "last.ckpt")

    check()
    record_property("count", EXAMPLES)


TOKENS = 6


@pytest.fixture
def maps(tmp_path: Path) -> Path:
    """The maps of 2 layers, beside a result file."""
    file = tmp_path / "run.fusion.npz"
    spread = np.full((2, TOKENS, TOKENS), 1 / TOKENS, np.float16)
    np.savez_compressed(file, maps=spread, labels=np.arange(TOKENS) % 2)
    return file


def read_maps(file: Path) -> FusionMaps:
    experiment = Experiment("digits", "transformer-small")
    used = FusionData("digits", "", FINGERPRINT, "test", TOKENS)
    result = FusionResult(**header(experiment), data=used, epochs={}, environment=ENVIRONMENT)
    return load_maps(result, file.with_suffix(".json"))


def test_maps_are_read(maps: Path) -> None:
    assert read_maps(maps).maps.shape == (2, TOKENS, TOKENS)


class Trap:
    """What unpickling it would do."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, ("trapped",))


OTHER_MAPS: dict[str, dict[str, Any]] = {
    "a pickle": {"maps": np.array([Trap()], dtype=object)},
    "float64": {"maps": np.zeros((2, TOKENS, TOKENS))},
    "two axes": {"maps": np.zeros((TOKENS, TOKENS), np.float16)},
    "fewer tokens": {"maps": np.zeros((2, 3, 3), np.float16)},
    "no number": {"maps": np.full((2, TOKENS, TOKENS), np.nan, np.float16)},
    "more than all": {"maps": np.full((2, TOKENS, TOKENS), 2, np.float16)},
    "labels below 0": {"labels": np.full(TOKENS, -1)},
    "fractions as labels": {"labels": np.zeros(TOKENS)},
    "too few labels": {"labels": np.zeros(3, np.int64)},
    "words": {"labels": np.array(["ant"] * TOKENS)},
    "no labels": {"labels": None},
}


@pytest.mark.parametrize("kind", OTHER_MAPS)
def test_other_maps(kind: str, maps: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(maps.parent)
    with np.load(maps) as arrays:
        content = {name: arrays[name] for name in arrays} | OTHER_MAPS[kind]
    np.savez(maps, **{name: array for name, array in content.items() if array is not None})
    with pytest.raises(InputError, match="is damaged .*; move both away to measure again"):
        read_maps(maps)
    assert not Path("trapped").exists()


@pytest.mark.parametrize("damage", [flip_a_bit, cut_off])
def test_damaged_maps(
    damage: Callable[[bytes, random.Random], bytes],
    maps: Path,
    record_property: Callable[[str, object], None],
) -> None:
    """Refused; where the bit means nothing, such as in a date, the maps are as they were."""
    content, whole = maps.read_bytes(), read_maps(maps)
    for seed in range(DAMAGES):
        maps.write_bytes(damage(content, random.Random(seed)))
        try:
            found = read_maps(maps)
        except InputError:
            continue
        assert np.array_equal(found.maps, whole.maps)
        assert np.array_equal(found.labels, whole.labels)
    record_property("count", DAMAGES)


def _beginning(kind: str) -> bytes:
    stream = BytesIO()
    Image.new("RGB", (4, 4), "red").save(stream, kind)
    return stream.getvalue()


def test_any_bytes_as_an_image(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """Either an RGB image or one sentence that names the file."""
    file = tmp_path / "x.png"

    @settings(max_examples=EXAMPLES, deadline=None, database=None)
    @given(
        start=st.sampled_from([b"", *map(_beginning, KINDS)]),
        kept=st.integers(0, 400),
        rest=st.binary(max_size=100),
    )
    def check(start: bytes, kept: int, rest: bytes) -> None:
        file.write_bytes(start[:kept] + rest)
        said = ""
        try:
            assert open_rgb(file).mode == "RGB"
        except InputError as error:
            said = str(error)
        assert not said or str(file) in said

    check()
    record_property("count", EXAMPLES)

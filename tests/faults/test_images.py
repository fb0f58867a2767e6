"""Image folders and caches that are not what they should be are refused, in one sentence."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from df_heads.benchmarks.harness.base.errors import InputError
from df_heads.benchmarks.harness.base.experiment import Experiment
from df_heads.benchmarks.harness.data import images
from df_heads.benchmarks.harness.data.images import ImageData, load_images
from df_heads.benchmarks.harness.data.subsets import images_of

EXPERIMENT = Experiment("folder", "transformer-small", image_size=8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two classes of 3 training and 2 test images."""
    for split, count in (("train", 3), ("test", 2)):
        for number, name in enumerate(("ant", "bee")):
            place = tmp_path / "data" / split / name
            place.mkdir(parents=True)
            for index in range(count):
                color = (80 * number + index, 20 * index, 7)
                Image.new("RGB", (8, 8), color).save(place / f"{index}.png")
    return tmp_path / "data"


def load(folder: Path) -> ImageData:
    return load_images(
        "folder", data_dir=folder, image_size=8, cache_dir=folder.parent / "cache", download=False
    )


def evaluated(folder: Path) -> ImageData:
    """As a run does."""
    return images_of(EXPERIMENT, load(folder))


def postscript(folder: Path) -> None:
    """What Pillow would give to Ghostscript, which it would start."""
    code = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n%%EOF\n"
    (folder / "train" / "ant" / "0.png").write_bytes(code)


def pipe(folder: Path) -> None:
    os.mkfifo(folder / "train" / "ant" / "pipe.png")


def dangling_link(folder: Path) -> None:
    (folder / "train" / "ant" / "link.png").symlink_to(folder / "nothing.png")


def loop(folder: Path) -> None:
    (folder / "train" / "ant" / "again").symlink_to(folder / "train")


def loop_of_two(folder: Path) -> None:
    one, other = folder / "train" / "ant" / "one", folder / "train" / "bee" / "other"
    one.mkdir()
    other.mkdir()
    (one / "link").symlink_to(other)
    (other / "link").symlink_to(one)


def no_test_images_of_a_class(folder: Path) -> None:
    shutil.rmtree(folder / "test" / "bee")


def one_class(folder: Path) -> None:
    for split in ("train", "test"):
        shutil.rmtree(folder / split / "bee")


def empty_class(folder: Path) -> None:
    (folder / "train" / "cat").mkdir()


def no_image(folder: Path) -> None:
    (folder / "train" / "ant" / "1.png").write_bytes(b"hello")


def cut_off(folder: Path) -> None:
    file = folder / "train" / "ant" / "1.png"
    file.write_bytes(file.read_bytes()[:40])


def empty_file(folder: Path) -> None:
    (folder / "train" / "ant" / "1.png").write_bytes(b"")


def folder_named_as_an_image(folder: Path) -> None:
    (folder / "train" / "ant" / "3.png").mkdir()
    (folder / "train" / "ant" / "3.png" / "x.png").write_bytes(b"x")


def stray_image(folder: Path) -> None:
    shutil.copy(folder / "train" / "ant" / "1.png", folder / "train" / "1.png")


def unknown_class(folder: Path) -> None:
    shutil.copytree(folder / "test" / "ant", folder / "test" / "cat")


def no_test_split(folder: Path) -> None:
    shutil.rmtree(folder / "test")


def float_tiff(folder: Path) -> None:
    Image.new("F", (8, 8), 0.5).save(folder / "train" / "ant" / "9.tif")


BAD_FOLDERS: list[tuple[Callable[[Path], None], str]] = [
    (postscript, "0.png cannot be decoded"),
    (pipe, "pipe.png is no ordinary file"),
    (dangling_link, "link.png is a link to nothing"),
    (loop, "again/ant leads back to a folder"),
    (loop_of_two, "link leads back to a folder"),
    (no_test_images_of_a_class, "no test image of class bee"),
    (one_class, "the one class ant"),
    (empty_class, "no images in cat"),
    (no_image, "1.png cannot be decoded"),
    (cut_off, "1.png cannot be decoded"),
    (empty_file, "1.png cannot be decoded"),
    (folder_named_as_an_image, "x.png cannot be decoded"),
    (stray_image, "outside any class"),
    (unknown_class, "has cat that"),
    (no_test_split, "no test or val folder"),
    (float_tiff, "9.tif cannot be decoded"),
]


@pytest.mark.parametrize(
    ("spoil", "sentence"), BAD_FOLDERS, ids=lambda p: getattr(p, "__name__", "")
)
def test_bad_folders(spoil: Callable[[Path], None], sentence: str, folder: Path) -> None:
    spoil(folder)
    with pytest.raises(InputError, match=sentence):
        evaluated(folder)
    assert not list((folder.parent / "cache").glob(".*"))  # nothing half done


def test_links_that_are_no_loops_are_followed(folder: Path) -> None:
    (folder / "train" / "ant").rename(folder.parent / "ants")
    (folder / "train" / "ant").symlink_to(folder.parent / "ants")
    assert len(evaluated(folder).train_labels) == 6


def test_postscript_starts_no_program(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def started(*arguments: object, **options: object) -> None:
        raise AssertionError(f"{arguments} was started")

    postscript(folder)
    monkeypatch.setattr(subprocess, "check_call", started)
    monkeypatch.setattr(subprocess, "Popen", started)
    with pytest.raises(InputError):
        load(folder)


def shuffle_labels(cache: Path) -> None:
    labels = np.load(cache / "train_labels.npy")
    np.save(cache / "train_labels.npy", labels[::-1])


def labels_out_of_range(cache: Path) -> None:
    np.save(cache / "train_labels.npy", np.load(cache / "train_labels.npy") + 7)


def labels_of_another_type(cache: Path) -> None:
    np.save(cache / "train_labels.npy", np.load(cache / "train_labels.npy").astype(np.float64))


def flipped_bit(cache: Path) -> None:
    content = bytearray((cache / "test_images.npy").read_bytes())
    content[-5] ^= 4
    (cache / "test_images.npy").write_bytes(content)


def truncated(cache: Path) -> None:
    file = cache / "train_images.npy"
    file.write_bytes(file.read_bytes()[:300])


def other_fingerprint(cache: Path) -> None:
    meta = cache / "meta.json"
    meta.write_text(meta.read_text().replace('"sha256": "', '"sha256": "0'))


def no_json(cache: Path) -> None:
    (cache / "meta.json").write_text("[]")


BAD_CACHES = [
    *(shuffle_labels, labels_out_of_range, labels_of_another_type, flipped_bit, truncated),
    *(other_fingerprint, no_json),
]


@pytest.mark.parametrize("spoil", BAD_CACHES)
def test_a_cache_that_is_not_what_was_written_is_made_again(
    spoil: Callable[[Path], None], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = load(folder)
    whole = [getattr(before, name).copy() for name in images.ARRAYS]
    (cache,) = (folder.parent / "cache").iterdir()
    spoil(cache)
    after = load(folder)
    assert after.fingerprint == before.fingerprint
    for name, array in zip(images.ARRAYS, whole, strict=True):
        assert np.array_equal(getattr(after, name), array)
    assert "damaged; decoding again" in capsys.readouterr().err


def test_a_cache_is_compared_once_in_a_process(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(folder)

    def again(data: ImageData) -> bool:
        raise AssertionError("compared again")

    monkeypatch.setattr(images, "_as_written", again)
    load(folder)


@pytest.mark.parametrize("count", [2, 3, 5, 7, 20, 47])
def test_as_many_training_images_as_asked_for(count: int, tiny_data: ImageData) -> None:
    used = images_of(replace(EXPERIMENT, train_images=count), tiny_data)
    assert len(used.train_labels) == count
    assert set(used.train_labels.tolist()) == {0, 1}


def test_fewer_training_images_than_classes(tiny_data: ImageData) -> None:
    three = replace(
        tiny_data,
        classes=("0", "1", "2"),
        train_labels=np.arange(48) % 3,
        test_labels=np.arange(20) % 3,
    )
    with pytest.raises(InputError, match="--train-images 2 leaves no image of class 2"):
        images_of(replace(EXPERIMENT, train_images=2), three)


@pytest.mark.skipif(sys.platform != "linux", reason="mounts a file system of 1 MB")
def test_a_cache_on_a_full_disk(folder: Path, small_disk: Path) -> None:
    with pytest.raises(InputError, match="make room there|has less than"):
        load_images("folder", data_dir=folder, image_size=512, cache_dir=small_disk / "cache")
    assert not list(small_disk.glob("cache/*"))
    assert not list(small_disk.glob("cache/.*"))

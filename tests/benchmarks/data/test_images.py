import hashlib
import os
import pickle
import shutil
import struct
import sys
from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np
import pytest
from PIL import Image

from df_heads.benchmarks.harness.base.errors import InputError
from df_heads.benchmarks.harness.data import images
from df_heads.benchmarks.harness.data import sources as image_sources
from df_heads.benchmarks.harness.data.images import (
    ImageData,
    default_cache_dir,
    load_images,
)
from df_heads.benchmarks.harness.data.sources import DATASETS

RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


def save(path: Path, color: Any = RED, size: tuple[int, int] = (32, 32), mode: str = "RGB") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, color).save(path)
    return path


def make_folder(root: Path, test: str = "test") -> Path:
    """Classes cat (red, 3 + 1 images) and dog (blue, 2 + 1)."""
    for number in range(3):
        save(root / "train" / "cat" / f"{number}.png", RED)
    for number in range(2):
        save(root / "train" / "dog" / f"{number}.png", BLUE)
    save(root / test / "cat" / "9.png", RED)
    save(root / test / "dog" / "9.png", BLUE)
    return root


def make_mnist(root: Path, train: int = 20, test: int = 10) -> None:
    raw = root / "MNIST" / "raw"
    raw.mkdir(parents=True, exist_ok=True)
    for prefix, count in (("train", train), ("t10k", test)):
        labels = np.arange(count, dtype=np.uint8) % 10
        pixels = np.broadcast_to(labels[:, None, None] * 20, (count, 28, 28)).astype(np.uint8)
        (raw / f"{prefix}-images-idx3-ubyte").write_bytes(
            struct.pack(">IIII", 2051, count, 28, 28) + pixels.tobytes()
        )
        (raw / f"{prefix}-labels-idx1-ubyte").write_bytes(
            struct.pack(">II", 2049, count) + labels.tobytes()
        )


def make_tiny_imagenet(root: Path) -> Path:
    for wnid, color in (("n01", RED), ("n02", GREEN)):
        for number in range(2):
            save(root / "train" / wnid / "images" / f"{wnid}_{number}.JPEG", color, (64, 64))
    for name, color in (("val_0", GREEN), ("val_1", RED), ("val_2", GREEN)):
        save(root / "val" / "images" / f"{name}.JPEG", color, (64, 64))
    lines = [("val_0", "n02"), ("val_1", "n01"), ("val_2", "n02")]
    (root / "val" / "val_annotations.txt").write_text(
        "".join(f"{name}.JPEG\t{wnid}\t0\t32\t44\t62\n" for name, wnid in lines)
    )
    save(root / "test" / "images" / "test_0.JPEG", RED, (64, 64))
    return root


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    return folder


def forbid_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: Any, **kwargs: Any) -> Any:
        raise AssertionError("decoded again")

    monkeypatch.setattr(images, "_decode", fail)


def one_sentence(error: pytest.ExceptionInfo[InputError]) -> str:
    message = str(error.value)
    assert message
    assert "\n" not in message
    return message


def load_one(path: Path, cache: Path, size: int = 32) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Load the (3, S, S) pixels of a file that is the first of its training split."""
    found = load_images("folder", data_dir=path.parents[2], cache_dir=cache, image_size=size)
    return np.asarray(found.train_images[0])


# --- what is read


def test_digits_are_all_digits_split_once(cache: Path) -> None:
    from sklearn.datasets import load_digits

    digits = load_digits()
    found = load_images("digits", image_size=8, cache_dir=cache)
    assert found.name == "digits"
    assert found.train_images.shape == (1437, 3, 8, 8)
    assert found.test_images.shape == (360, 3, 8, 8)
    assert found.train_images.dtype == np.uint8
    assert found.train_labels.dtype == found.test_labels.dtype == np.int64
    assert found.classes == tuple("0123456789")
    assert found.train_images.max() == 255
    # Stratified: every class gives a fifth of itself, give or take one image.
    fifth = np.bincount(digits.target) / 5
    assert np.abs(np.bincount(found.test_labels) - fifth).max() <= 1
    # Every image is in one split, with its own label.
    expected = sorted(
        (np.rint(image * 255 / 16).astype(np.uint8).tobytes(), int(label))
        for image, label in zip(digits.images, digits.target, strict=True)
    )
    pairs = [
        (image[0].tobytes(), int(label))
        for split in ("train", "test")
        for image, label in zip(
            getattr(found, f"{split}_images"), getattr(found, f"{split}_labels"), strict=True
        )
    ]
    assert sorted(pairs) == expected
    assert (found.train_images[:, :1] == found.train_images).all()


def test_digits_split_is_the_same_everywhere(tmp_path: Path) -> None:
    first = load_images("digits", image_size=8, cache_dir=tmp_path / "a")
    second = load_images("digits", image_size=8, cache_dir=tmp_path / "b")
    assert first.fingerprint == second.fingerprint
    assert not DATASETS["digits"].horizontal_flip


def test_digits_need_scikit_learn(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(ImportError, match=r"pip install 'df-heads\[benchmarks\]'"):
        load_images("digits", cache_dir=cache)


@pytest.mark.parametrize("test_split", ["test", "val"])
def test_folder(data: Path, cache: Path, test_split: str) -> None:
    found = load_images("folder", data_dir=make_folder(data, test_split), cache_dir=cache)
    assert found.classes == ("cat", "dog")
    assert found.train_labels.tolist() == [0, 0, 0, 1, 1]
    assert found.test_labels.tolist() == [0, 1]
    assert found.train_images.shape == (5, 3, 32, 32)
    assert found.train_images[:, :, 5, 7].tolist() == [list(RED)] * 3 + [list(BLUE)] * 2
    assert found.test_images[:, :, 5, 7].tolist() == [list(RED), list(BLUE)]
    assert isinstance(found.train_images, np.memmap)
    assert not found.train_images.flags.writeable


def test_folder_with_the_name_of_the_data_set_comes_first(data: Path, cache: Path) -> None:
    make_folder(data)
    for split in ("train", "test"):
        save(data / "cifar10" / split / "ship" / "0.png", GREEN)
    make_mnist(data)
    assert load_images("cifar10", data_dir=data, cache_dir=cache).classes == ("ship",)
    assert load_images("cifar100", data_dir=data, cache_dir=cache).classes == ("cat", "dog")
    assert load_images("mnist", data_dir=data, cache_dir=cache).classes == ("cat", "dog")


def test_subfolders_count_and_hidden_or_other_files_do_not(data: Path, cache: Path) -> None:
    make_folder(data)
    save(data / "train" / "cat" / "deeper" / "0.png", GREEN)
    (data / "train" / "cat" / "._0.png").write_bytes(b"resource fork")
    (data / "train" / "cat" / "notes.txt").write_text("not an image")
    save(data / "train" / ".ipynb_checkpoints" / "0.png")
    found = load_images("folder", data_dir=data, cache_dir=cache)
    assert found.classes == ("cat", "dog")
    assert found.train_labels.tolist() == [0, 0, 0, 0, 1, 1]


def test_torchvision_layout(data: Path, cache: Path) -> None:
    make_mnist(data)
    found = load_images("mnist", data_dir=data, cache_dir=cache, image_size=28, download=False)
    assert found.train_images.shape == (20, 3, 28, 28)
    assert found.test_images.shape == (10, 3, 28, 28)
    assert found.train_labels.tolist() == [*range(10), *range(10)]
    assert (found.train_images == found.train_labels[:, None, None, None] * 20).all()
    assert len(found.classes) == 10
    assert not DATASETS["mnist"].horizontal_flip


def test_torchvision_cifar_and_stl10(
    data: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torchvision import datasets

    unchecked = {
        reader: {
            attribute: [[name, None] for name, _ in getattr(reader, attribute)]
            for attribute in ("train_list", "test_list")
        }
        for reader in (datasets.CIFAR10, datasets.CIFAR100, datasets.STL10)
    }
    for reader, lists in unchecked.items():
        for attribute, entries in lists.items():
            monkeypatch.setattr(reader, attribute, entries)
        names = {
            f"{reader.base_folder}/{name}" for entries in lists.values() for name, _ in entries
        }
        if hasattr(reader, "meta"):
            monkeypatch.setattr(reader, "meta", {**reader.meta, "md5": None})
            names.add(f"{reader.base_folder}/{reader.meta['filename']}")
        else:
            names.add(f"{reader.base_folder}/{reader.class_names_file}")
        layout = DATASETS[reader.__name__.lower()].torchvision
        assert layout is not None
        assert set(layout.files) == names

    pixels = np.random.default_rng(0).integers(0, 256, (10, 3, 32, 32), dtype=np.uint8)
    labels = list(range(10))
    batches = data / "cifar-10-batches-py"
    batches.mkdir()
    for name in [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]:
        batch = {"data": pixels.reshape(10, -1), "labels": labels}
        (batches / name).write_bytes(pickle.dumps(batch))
    classes = [f"class {number}" for number in labels]
    (batches / "batches.meta").write_bytes(pickle.dumps({"label_names": classes}))
    cifar = load_images("cifar10", data_dir=data, cache_dir=cache, download=False)
    assert (cifar.train_images == np.concatenate([pixels] * 5)).all()
    assert cifar.train_labels.tolist() == labels * 5
    assert (cifar.test_images == pixels).all()
    assert cifar.classes == tuple(classes)

    binary = data / "stl10_binary"
    binary.mkdir()
    columns = np.zeros((10, 3, 96, 96), dtype=np.uint8)
    columns[:, 0] = (np.arange(10) * 20)[:, None, None]
    for split in ("train", "test"):
        (binary / f"{split}_X.bin").write_bytes(columns.tobytes())
        (binary / f"{split}_y.bin").write_bytes(bytes(range(1, 11)))
    (binary / "unlabeled_X.bin").write_bytes(b"")
    (binary / "class_names.txt").write_text("\n".join(classes))
    stl10 = load_images("stl10", data_dir=data, cache_dir=cache, image_size=48, download=False)
    assert stl10.train_images.shape == (10, 3, 48, 48)
    assert stl10.train_images[:, :, 3, 4].tolist() == [[20 * label, 0, 0] for label in labels]
    assert stl10.test_labels.tolist() == labels


@pytest.mark.parametrize("subfolder", [".", "tiny-imagenet-200", "imagenet200"])
def test_tiny_imagenet_archive(data: Path, cache: Path, subfolder: str) -> None:
    make_tiny_imagenet(data / subfolder)
    found = load_images("imagenet200", data_dir=data, cache_dir=cache, image_size=64)
    assert found.classes == ("n01", "n02")
    assert found.train_labels.tolist() == [0, 0, 1, 1]
    assert found.test_labels.tolist() == [0, 1, 1]
    green = found.test_images[:, 1, 10, 10] > 200
    assert green.tolist() == [False, True, True]


def test_tiny_imagenet_with_validation_images_sorted_into_classes(data: Path, cache: Path) -> None:
    make_folder(data, "val")
    save(data / "test" / "images" / "unlabelled.png")
    found = load_images("imagenet200", data_dir=data, cache_dir=cache)
    assert found.test_labels.tolist() == [0, 1]


def test_home_folder_is_expanded(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    make_folder(data)
    load_images("folder", data_dir=Path("~/data"))
    assert default_cache_dir() == tmp_path / ".cache" / "df-heads"
    assert [entry.name[:10] for entry in default_cache_dir().iterdir()] == ["folder-32-"]
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert default_cache_dir() == tmp_path / "xdg" / "df-heads"


# --- pixels


@pytest.mark.parametrize(
    ("mode", "color", "expected"),
    [
        ("L", 90, (90, 90, 90)),
        ("1", 1, (255, 255, 255)),
        ("I;16", 40_000, (156, 156, 156)),
        ("RGBA", (10, 20, 30, 255), (10, 20, 30)),
        ("RGBA", (10, 20, 30, 0), (255, 255, 255)),
        ("LA", (90, 255), (90, 90, 90)),
        ("CMYK", (0, 255, 255, 0), RED),
    ],
)
def test_modes(data: Path, cache: Path, mode: str, color: Any, expected: Any) -> None:
    ending = "tif" if mode == "CMYK" else "png"
    path = save(data / "train" / "a" / f"0.{ending}", color, mode=mode)
    save(data / "test" / "a" / "0.png")
    pixels = load_one(path, cache)
    assert (pixels == np.array(expected)[:, None, None]).all()


@pytest.mark.parametrize("transparency", [None, 1, bytes([255, 0])])
def test_palette(data: Path, cache: Path, transparency: Any) -> None:
    image = Image.new("P", (32, 32), 0)
    image.putpalette([*GREEN, *BLUE])
    image.paste(1, (16, 0, 32, 32))
    path = data / "train" / "a" / "0.png"
    path.parent.mkdir(parents=True)
    image.save(path, **({} if transparency is None else {"transparency": transparency}))
    save(data / "test" / "a" / "0.png")
    pixels = load_one(path, cache)
    assert pixels[:, 0, 0].tolist() == list(GREEN)
    assert pixels[:, 0, -1].tolist() == (list(BLUE) if transparency is None else [255] * 3)


def test_resize_is_antialiased(data: Path, cache: Path) -> None:
    checkers = np.indices((64, 64)).sum(0) % 2 * 255
    path = data / "train" / "a" / "0.png"
    path.parent.mkdir(parents=True)
    Image.fromarray(checkers.astype(np.uint8)).save(path)
    save(data / "test" / "a" / "0.png")
    pixels = load_one(path, cache, 16)
    assert pixels.shape == (3, 16, 16)
    assert np.abs(pixels.astype(int) - 127).max() < 10


@pytest.mark.parametrize("wide", [True, False])
def test_other_shapes_are_cut_to_the_central_square(data: Path, cache: Path, wide: bool) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (40, 120, 3), dtype=np.uint8)
    image = Image.fromarray(noise if wide else noise.swapaxes(0, 1).copy())
    path = data / "train" / "a" / "0.png"
    path.parent.mkdir(parents=True)
    image.save(path)
    save(data / "test" / "a" / "0.png")
    # Shorter side to 20 pixels, then the middle, as torchvision's Resize and CenterCrop do.
    shape, box = ((60, 20), (20, 0, 40, 20)) if wide else ((20, 60), (0, 20, 20, 40))
    expected = np.asarray(image.resize(shape, Image.Resampling.BILINEAR).crop(box))
    assert (load_one(path, cache, 20) == expected.transpose(2, 0, 1)).all()


def test_row_and_column_order(data: Path, cache: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    path = data / "train" / "a" / "0.png"
    path.parent.mkdir(parents=True)
    Image.fromarray(pixels).save(path)
    save(data / "test" / "a" / "0.png")
    assert (load_one(path, cache) == pixels.transpose(2, 0, 1)).all()


def test_more_images_than_one_chunk(
    data: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    make_mnist(data, train=1003)
    monkeypatch.setattr(images, "PROGRESS_ABOVE", 1000)
    found = load_images("mnist", data_dir=data, cache_dir=cache)
    assert (found.train_images == found.train_labels[:, None, None, None] * 20).all()
    progress = capfd.readouterr().err
    assert "train_images" in progress
    assert "test_images" not in progress


# --- the cache


def test_second_load_does_not_decode(
    data: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_folder(data)
    first = load_images("folder", data_dir=data, cache_dir=cache)
    forbid_decoding(monkeypatch)
    second = load_images("folder", data_dir=data, cache_dir=cache)
    for array in images.ARRAYS:
        assert (getattr(first, array) == getattr(second, array)).all()
    assert second.classes == first.classes == ("cat", "dog")
    assert second.fingerprint == first.fingerprint
    with pytest.raises(AssertionError, match="decoded again"):
        load_images("folder", data_dir=data, cache_dir=cache, image_size=16)


def test_fingerprint_is_that_of_the_arrays(data: Path, cache: Path) -> None:
    found = load_images("folder", data_dir=make_folder(data), cache_dir=cache)
    content = b"".join(np.asarray(getattr(found, array)).tobytes() for array in images.ARRAYS)
    assert found.fingerprint == hashlib.sha256(content).hexdigest()[:16]


@pytest.mark.parametrize("change", ["content", "time", "added", "removed", "moved"])
def test_changed_source_is_decoded_again(data: Path, cache: Path, change: str) -> None:
    make_folder(data)
    before = load_images("folder", data_dir=data, cache_dir=cache)
    image = data / "train" / "dog" / "1.png"
    if change == "content":
        save(image, GREEN)
    elif change == "time":
        facts = image.stat()
        save(image, RED)
        os.utime(image, ns=(facts.st_atime_ns, facts.st_mtime_ns + 1))
    elif change == "added":
        save(data / "train" / "dog" / "2.png", GREEN)
    elif change == "removed":
        image.unlink()
    else:
        image.rename(data / "train" / "cat" / "7.png")
    after = load_images("folder", data_dir=data, cache_dir=cache)
    assert after.fingerprint != before.fingerprint
    assert len(after.train_labels) == {"added": 6, "removed": 4}.get(change, 5)
    assert before.train_images[:, 2, 0, 0].tolist() == [0, 0, 0, 255, 255]


def test_changed_annotations_are_read_again(data: Path, cache: Path) -> None:
    make_tiny_imagenet(data)
    load_images("imagenet200", data_dir=data, cache_dir=cache)
    annotations = data / "val" / "val_annotations.txt"
    annotations.write_text(annotations.read_text().replace("val_0.JPEG\tn02", "val_0.JPEG\tn01"))
    os.utime(annotations, ns=(0, 0))
    found = load_images("imagenet200", data_dir=data, cache_dir=cache)
    assert found.test_labels.tolist() == [0, 0, 1]


@pytest.mark.parametrize("file", ["train_images.npy", "test_labels.npy", "meta.json"])
@pytest.mark.parametrize("damage", ["cut", "empty", "missing", "garbage"])
def test_damaged_cache_is_rebuilt(data: Path, cache: Path, file: str, damage: str) -> None:
    make_folder(data)
    fingerprint = load_images("folder", data_dir=data, cache_dir=cache).fingerprint
    (folder,) = cache.iterdir()
    path = folder / file
    content = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        damaged = {"cut": content[:-1], "empty": b"", "garbage": b"\xff" * len(content)}[damage]
        path.write_bytes(damaged)
    found = load_images("folder", data_dir=data, cache_dir=cache)
    assert found.fingerprint == fingerprint
    assert found.train_labels.tolist() == [0, 0, 0, 1, 1]
    assert (folder / file).read_bytes() == content
    assert list(cache.iterdir()) == [folder]


def test_cache_of_other_arrays_is_rebuilt(data: Path, cache: Path) -> None:
    make_folder(data)
    load_images("folder", data_dir=data, cache_dir=cache)
    (folder,) = cache.iterdir()
    np.save(folder / "train_images.npy", np.zeros((4, 3, 32, 32), dtype=np.uint8))
    assert load_images("folder", data_dir=data, cache_dir=cache).train_images.shape[0] == 5


def test_interrupted_decoding_leaves_nothing(
    data: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_folder(data)

    def interrupt(*args: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(images, "_decode_chunk", interrupt)
        with pytest.raises(KeyboardInterrupt):
            load_images("folder", data_dir=data, cache_dir=cache)
    assert list(cache.iterdir()) == []
    assert len(load_images("folder", data_dir=data, cache_dir=cache).train_labels) == 5


def test_two_processes_at_once(data: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_folder(data)
    write_cache = images._write_cache
    others: list[ImageData] = []

    def overtaken(*args: Any) -> None:
        """Another process publishes its cache while this one is still decoding."""
        monkeypatch.setattr(images, "_write_cache", write_cache)
        others.append(load_images("folder", data_dir=data, cache_dir=cache))
        write_cache(*args)

    monkeypatch.setattr(images, "_write_cache", overtaken)
    found = load_images("folder", data_dir=data, cache_dir=cache)
    assert len(others) == 1
    assert found.fingerprint == others[0].fingerprint
    assert len(list(cache.iterdir())) == 1


# --- bad input


def test_unknown_data_set(cache: Path) -> None:
    with pytest.raises(InputError, match=r"'cifar11'.*digits, cifar10, cifar100, mnist") as error:
        load_images("cifar11", cache_dir=cache)
    one_sentence(error)


def test_image_size_too_small(cache: Path) -> None:
    with pytest.raises(InputError, match=r"image size 7 .*8 or more"):
        load_images("digits", image_size=7, cache_dir=cache)


@pytest.mark.parametrize("name", ["digits", "cifar10", "folder"])
def test_data_dir_does_not_exist(name: str, tmp_path: Path, cache: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere does not exist.*--data-dir"):
        load_images(name, data_dir=tmp_path / "nowhere", cache_dir=cache)
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("name", ["folder", "imagenet200"])
def test_data_dir_is_needed(name: str, cache: Path) -> None:
    with pytest.raises(InputError, match=f"'{name}' cannot be downloaded: pass --data-dir"):
        load_images(name, cache_dir=cache)


@pytest.mark.parametrize("name", ["folder", "imagenet200"])
def test_no_train_folder(name: str, data: Path, cache: Path) -> None:
    save(data / "cat" / "0.png")
    with pytest.raises(InputError, match=f"'{name}' is not in {data}.*no train.*train/<class>"):
        load_images(name, data_dir=data, cache_dir=cache)


def test_no_test_folder(data: Path, cache: Path) -> None:
    save(data / "train" / "cat" / "0.png")
    with pytest.raises(InputError, match=r"no test or val folder.*move some images"):
        load_images("folder", data_dir=data, cache_dir=cache)


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("classes", [True, False])
def test_no_images(data: Path, cache: Path, split: str, classes: bool) -> None:
    make_folder(data)
    for path in sorted((data / split).rglob("*"), reverse=True):
        if path.is_file():
            path.unlink()
        elif not classes:
            path.rmdir()
    with pytest.raises(
        InputError, match=f"{data / split} holds no images.*{data / split}/<class>/"
    ):
        load_images("folder", data_dir=data, cache_dir=cache)


@pytest.mark.parametrize("split", ["train", "test"])
def test_empty_class(data: Path, cache: Path, split: str) -> None:
    make_folder(data)
    (data / split / "eel").mkdir()
    with pytest.raises(InputError, match=f"{data / split} has no images in eel"):
        load_images("folder", data_dir=data, cache_dir=cache)


def test_images_outside_a_class(data: Path, cache: Path) -> None:
    make_folder(data)
    save(data / "train" / "stray.png")
    with pytest.raises(InputError, match=r"train has stray\.png outside any class"):
        load_images("folder", data_dir=data, cache_dir=cache)


def test_test_class_without_training_images(data: Path, cache: Path) -> None:
    make_folder(data)
    save(data / "test" / "eel" / "0.png")
    with pytest.raises(InputError, match=r"test has eel that .*train lacks"):
        load_images("folder", data_dir=data, cache_dir=cache)


def test_training_class_without_test_images_is_fine(data: Path, cache: Path) -> None:
    make_folder(data)
    save(data / "train" / "bee" / "0.png")
    found = load_images("folder", data_dir=data, cache_dir=cache)
    assert found.classes == ("bee", "cat", "dog")
    assert found.test_labels.tolist() == [1, 2]


@pytest.mark.parametrize("damage", ["cut", "empty", "garbage"])
@pytest.mark.parametrize("ending", ["png", "jpg", "gif"])
def test_corrupt_image(data: Path, cache: Path, damage: str, ending: str) -> None:
    make_folder(data)
    path = data / "train" / "dog" / f"bad.{ending}"
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    content = path.read_bytes()
    path.write_bytes(
        {"cut": content[: len(content) // 2], "empty": b"", "garbage": b"\x00" * 99}[damage]
    )
    with pytest.raises(InputError, match=rf"bad\.{ending} cannot be decoded.*remove") as error:
        load_images("folder", data_dir=data, cache_dir=cache)
    one_sentence(error)
    assert list(cache.iterdir()) == []


def test_corrupt_images_are_counted(data: Path, cache: Path) -> None:
    make_folder(data)
    for number in range(3):
        (data / "train" / "cat" / f"{number}.png").write_bytes(b"")
    with pytest.raises(InputError, match=r"cat/0\.png cannot be decoded.*\(and 2 more like it\)"):
        load_images("folder", data_dir=data, cache_dir=cache)


def test_image_without_a_fixed_range(data: Path, cache: Path) -> None:
    make_folder(data)
    save(data / "train" / "cat" / "float.tif", 0.5, mode="F")
    with pytest.raises(InputError, match=r"float\.tif cannot be decoded.*8 bits"):
        load_images("folder", data_dir=data, cache_dir=cache)


@pytest.mark.parametrize("line", ["val_9.JPEG\tn01", "val_0.JPEG n01"])
def test_wrong_annotations(data: Path, cache: Path, line: str) -> None:
    make_tiny_imagenet(data)
    with (data / "val" / "val_annotations.txt").open("a") as file:
        file.write(f"{line}\n")
    with pytest.raises(InputError, match=r"val_annotations\.txt.*unpack the archive again"):
        load_images("imagenet200", data_dir=data, cache_dir=cache)


def test_unannotated_image(data: Path, cache: Path) -> None:
    make_tiny_imagenet(data)
    save(data / "val" / "images" / "val_3.JPEG")
    with pytest.raises(InputError, match=r"\(val_3\.JPEG\)"):
        load_images("imagenet200", data_dir=data, cache_dir=cache)


def test_torchvision_files_that_are_cut_off(data: Path, cache: Path) -> None:
    make_mnist(data)
    path = data / "MNIST" / "raw" / "train-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match=r"torchvision cannot read .*raw") as error:
        load_images("mnist", data_dir=data, cache_dir=cache, download=False)
    one_sentence(error)


def test_not_found_and_not_to_be_downloaded(data: Path, cache: Path) -> None:
    with pytest.raises(InputError, match=r"no mnist/train, no train, .*MNIST/raw.*--data-dir"):
        load_images("mnist", data_dir=data, cache_dir=cache, download=False)


def test_download_that_fails(data: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(url: str, *args: Any, **kwargs: Any) -> None:
        raise URLError(f"no route to {url}")

    monkeypatch.setattr("torchvision.datasets.mnist.download_and_extract_archive", offline)
    with pytest.raises(
        InputError, match=r"download of it failed.*(?:no route|Error downloading).*--data-dir"
    ) as error:
        load_images("mnist", data_dir=data, cache_dir=cache)
    one_sentence(error)
    assert list(data.iterdir()) == []
    with pytest.raises(InputError, match=f"is not in {cache / 'downloads'}"):
        load_images("mnist", cache_dir=cache)


@pytest.mark.parametrize("given", [True, False])
def test_download(data: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, given: bool) -> None:
    def arrive(url: str, download_root: str, **kwargs: Any) -> None:
        make_mnist(Path(download_root).parents[1])

    monkeypatch.setattr("torchvision.datasets.mnist.download_and_extract_archive", arrive)
    where = data if given else None
    found = load_images("mnist", data_dir=where, cache_dir=cache)
    assert len(found.train_labels) == 20
    root = data if given else cache / "downloads"
    assert [entry.name for entry in root.iterdir()] == ["MNIST"]
    monkeypatch.setattr(image_sources, "download_torchvision", None)
    assert len(load_images("mnist", data_dir=where, cache_dir=cache).train_labels) == 20


def test_cache_dir_that_is_a_file(data: Path, tmp_path: Path) -> None:
    make_folder(data)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"file cannot be written.*--cache-dir"):
        load_images("folder", data_dir=data, cache_dir=tmp_path / "file")


def test_full_disk(data: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_folder(data)
    usage = shutil.disk_usage(data)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1000))
    with pytest.raises(InputError, match=r"has less than the .* GB.*--cache-dir"):
        load_images("folder", data_dir=data, cache_dir=cache)
    assert list(cache.iterdir()) == []

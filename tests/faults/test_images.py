"""Image folders and caches that are not what they should be are refused, in one sentence."""

import hashlib
import os
import shutil
import socket
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt
import PIL
import pytest
from image_files import BAD, GOOD
from packaging.version import Version
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


def ant(folder: Path, name: str = "") -> Path:
    return folder / "train" / "ant" / name


def pipe(folder: Path) -> None:
    os.mkfifo(ant(folder, "pipe.png"))


def socket_of_a_server(folder: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        before = Path.cwd()
        os.chdir(ant(folder))  # such paths are at most 107 characters long
        server.bind("socket.png")
        os.chdir(before)


def device(folder: Path) -> None:
    ant(folder, "zero.png").symlink_to("/dev/zero")


def dangling_link(folder: Path) -> None:
    ant(folder, "link.png").symlink_to(folder / "nothing.png")


def link_to_itself(folder: Path) -> None:
    ant(folder, "link.png").symlink_to("link.png")


def dangling_link_to_a_folder(folder: Path) -> None:
    ant(folder, "more").symlink_to(folder / "nothing")


def dangling_class(folder: Path) -> None:
    for split in ("train", "test"):
        (folder / split / "cat").symlink_to(folder / "nothing")


def loop(folder: Path) -> None:
    ant(folder, "again").symlink_to(folder / "train")


def link_to_its_own_folder(folder: Path) -> None:
    ant(folder, "again").symlink_to(".")


def link_to_the_root(folder: Path) -> None:
    """Which must not be searched, with all that it holds."""
    ant(folder, "again").symlink_to(folder)


def loop_of_two(folder: Path) -> None:
    one, other = ant(folder, "one"), folder / "train" / "bee" / "other"
    one.mkdir()
    other.mkdir()
    (one / "link").symlink_to(other)
    (other / "link").symlink_to(one)


def two_links_to_one_folder(folder: Path) -> None:
    """At each of 40 levels: as many ways to the images as 2 to the power of 40."""
    level = ant(folder)
    for number in range(40):
        below = folder / "levels" / str(number)
        below.mkdir(parents=True)
        for name in ("one", "other"):
            (level / name).symlink_to(below)
        level = below


def one_class_under_two_names(folder: Path) -> None:
    (folder / "train" / "cat").symlink_to(ant(folder))


def training_images_as_test_images(folder: Path) -> None:
    shutil.rmtree(folder / "test")
    (folder / "test").symlink_to(folder / "train")


def no_test_images_of_a_class(folder: Path) -> None:
    shutil.rmtree(folder / "test" / "bee")


def one_class(folder: Path) -> None:
    for split in ("train", "test"):
        shutil.rmtree(folder / split / "bee")


def empty_class(folder: Path) -> None:
    (folder / "train" / "cat").mkdir()


def class_of_hidden_files(folder: Path) -> None:
    (folder / "train" / "__MACOSX").mkdir()
    (folder / "train" / "__MACOSX" / "._0.png").write_bytes(b"x")


def no_class(folder: Path) -> None:
    for name in ("ant", "bee"):
        shutil.rmtree(folder / "train" / name)


def folder_named_as_an_image(folder: Path) -> None:
    ant(folder, "3.png").mkdir()
    ant(folder, "3.png/x.png").write_bytes(b"x")


def stray_image(folder: Path) -> None:
    shutil.copy(ant(folder, "1.png"), folder / "train" / "1.png")


def unknown_class(folder: Path) -> None:
    shutil.copytree(folder / "test" / "ant", folder / "test" / "cat")


def class_in_capitals_in_one_split(folder: Path) -> None:
    (folder / "test" / "bee").rename(folder / "test" / "Bee")


def no_test_split(folder: Path) -> None:
    shutil.rmtree(folder / "test")


def no_training_split(folder: Path) -> None:
    shutil.rmtree(folder / "train")


def training_split_is_a_file(folder: Path) -> None:
    shutil.rmtree(folder / "train")
    (folder / "train").write_text("images")


def training_split_is_a_link_to_nothing(folder: Path) -> None:
    shutil.rmtree(folder / "train")
    (folder / "train").symlink_to(folder / "nothing")


def nothing_at_all(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()


def no_folder(folder: Path) -> None:
    shutil.rmtree(folder)


def a_file_instead(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.write_bytes(b"PK")


def heic(folder: Path) -> None:
    """Which would be passed over, and be missed by nobody."""
    ant(folder, "4.HEIC").write_bytes(b"ftypheic")


def two_bad_images(folder: Path) -> None:
    for name in ("1.png", "2.png"):
        ant(folder, name).write_bytes(b"")


def image_below_a_newline(folder: Path) -> None:
    ant(folder, "a\nb").mkdir()
    ant(folder, "a\nb/1.png").write_bytes(b"")


def too_deep(folder: Path) -> None:
    """Deeper than a path can be long."""
    before = Path.cwd()
    os.chdir(ant(folder))
    for _ in range(25):
        Path("x" * 200).mkdir()
        os.chdir("x" * 200)
    os.chdir(before)


def tiny_imagenet(folder: Path, annotations: bytes) -> None:
    """The validation split of that archive, in the place of the test split."""
    shutil.rmtree(folder / "test")
    (folder / "test" / "images").mkdir(parents=True)
    for index in range(2):
        shutil.copy(ant(folder, f"{index}.png"), folder / "test" / "images" / f"{index}.png")
    (folder / "test" / "val_annotations.txt").write_bytes(annotations)


def no_tab(folder: Path) -> None:
    tiny_imagenet(folder, b"0.png ant\n1.png bee\n")


def no_text(folder: Path) -> None:
    tiny_imagenet(folder, b"0.png\tant\n1.png\tb\xe9\n")


def listed_twice(folder: Path) -> None:
    tiny_imagenet(folder, b"0.png\tant\n1.png\tbee\n1.png\tant\n")


def not_listed(folder: Path) -> None:
    tiny_imagenet(folder, b"0.png\tant\n")


def listed_elsewhere(folder: Path) -> None:
    tiny_imagenet(folder, b"0.png\tant\n../../train/bee/1.png\tbee\n")


def nothing_listed(folder: Path) -> None:
    tiny_imagenet(folder, b"")


BAD_FOLDERS: list[tuple[Callable[[Path], None], str]] = [
    (pipe, "pipe.png is no ordinary file"),
    (socket_of_a_server, "socket.png is no ordinary file"),
    (device, "zero.png is no ordinary file"),
    (dangling_link, "link.png is a link to nothing"),
    (link_to_itself, "link.png is a link to nothing"),
    (dangling_link_to_a_folder, "more is a link to nothing"),
    (dangling_class, "cat is a link to nothing"),
    (loop, "again/ant leads to a folder that is listed already"),
    (link_to_its_own_folder, "again leads to a folder that is listed already"),
    (link_to_the_root, "again/train/ant leads to a folder that is listed already"),
    (loop_of_two, "link leads to a folder that is listed already"),
    (two_links_to_one_folder, "leads to a folder that is listed already"),
    (one_class_under_two_names, "are one folder under two names"),
    (training_images_as_test_images, "are one folder: no image was held back"),
    (no_test_images_of_a_class, "no test image of class bee"),
    (one_class, "the one class ant"),
    (empty_class, "no images in cat"),
    (class_of_hidden_files, "no images in __MACOSX"),
    (no_class, "holds no images"),
    (folder_named_as_an_image, "x.png cannot be decoded"),
    (stray_image, "outside any class"),
    (unknown_class, "has cat that"),
    (class_in_capitals_in_one_split, "has Bee that"),
    (no_test_split, "no test or val folder"),
    (no_training_split, "no train"),
    (training_split_is_a_file, "no train"),
    (training_split_is_a_link_to_nothing, "no train"),
    (nothing_at_all, "no train"),
    (no_folder, "does not exist"),
    (a_file_instead, "does not exist"),
    (heic, "4.HEIC has an ending that is not read"),
    (two_bad_images, r"1.png cannot be decoded .*\(and 1 more like it\)"),
    (image_below_a_newline, "1.png cannot be decoded"),
    (too_deep, "File name too long.*choose another --data-dir"),
    (no_tab, "line 1 of .* instead of an image and its class"),
    (no_text, "is no text"),
    (listed_twice, "names an image twice in its 3 lines"),
    (not_listed, "do not list the same images"),
    (listed_elsewhere, "do not list the same images"),
    (nothing_listed, "do not list the same images"),
]


def state_of(folder: Path) -> dict[Path, str]:
    files = [file for file in folder.rglob("*") if file.is_file()]
    return {file: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


@pytest.mark.parametrize(
    ("spoil", "sentence"), BAD_FOLDERS, ids=lambda p: getattr(p, "__name__", "")
)
@pytest.mark.usefixtures("in_time")
def test_bad_folders(spoil: Callable[[Path], None], sentence: str, folder: Path) -> None:
    load(folder)
    before = state_of(folder.parent / "cache")
    spoil(folder)
    with pytest.raises(InputError, match=sentence):
        evaluated(folder)
    after = state_of(folder.parent / "cache")
    assert {file: after[file] for file in before} == before
    assert not list((folder.parent / "cache").glob(".*"))  # nothing half done


@pytest.mark.parametrize("kind", BAD)
@pytest.mark.usefixtures("in_time")
def test_bad_image_files(kind: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def started(*arguments: object, **options: object) -> None:
        raise AssertionError(f"{arguments} was started")

    for name in ("Popen", "check_call", "run"):  # Pillow would give PostScript to Ghostscript
        monkeypatch.setattr(subprocess, name, started)
    bad = BAD[kind]
    ant(folder, f"9{bad.ending}").write_bytes(bad.content)
    with pytest.raises(InputError, match=f"9{bad.ending} cannot be decoded.*{bad.sentence}"):
        load(folder)
    assert not list((folder.parent / "cache").iterdir())


@pytest.mark.parametrize("kind", GOOD)
@pytest.mark.usefixtures("in_time")
def test_odd_image_files(kind: str, folder: Path) -> None:
    if kind == "ycbcr tiff" and Version(PIL.__version__) < Version("13"):
        pytest.skip("Pillow 12 cannot read the TIFF in YCbCr that it writes")
    good = GOOD[kind]
    ant(folder, f"9{good.ending}").write_bytes(good.content)
    data = load(folder)
    assert data.train_labels.tolist() == [0, 0, 0, 0, 1, 1, 1]
    shown = data.train_images[3, :, 4, 4]
    assert np.abs(shown.astype(int) - good.color).max() <= 2, shown


def link_to_a_class(folder: Path) -> None:
    ant(folder).rename(folder.parent / "ants")
    ant(folder).symlink_to(folder.parent / "ants")


def link_to_an_image(folder: Path) -> None:
    ant(folder, "1.png").rename(folder.parent / "one.png")
    ant(folder, "1.png").symlink_to(folder.parent / "one.png")


def link_to_a_split(folder: Path) -> None:
    (folder / "train").rename(folder.parent / "images")
    (folder / "train").symlink_to(folder.parent / "images")


def folders_of_folders(folder: Path) -> None:
    ant(folder, "a/b/c").mkdir(parents=True)
    ant(folder, "1.png").rename(ant(folder, "a/b/c/1.png"))


def two_hundred_folders_deep(folder: Path) -> None:
    place = ant(folder, "/".join(["x"] * 200))
    place.mkdir(parents=True)
    ant(folder, "1.png").rename(place / "1.png")


def hidden_files(folder: Path) -> None:
    for name in (".DS_Store", "._1.png", "Thumbs.db", "README.txt", ".png"):
        ant(folder, name).write_bytes(b"x")
    ant(folder, ".git").mkdir()
    ant(folder, ".git/x.png").write_bytes(b"x")
    (folder / "train" / ".hidden").mkdir()
    (folder / "train" / "README.md").write_bytes(b"x")


def other_case(folder: Path) -> None:
    ant(folder, "1.png").rename(ant(folder, "1.PnG"))


def names_of_all_kinds(folder: Path) -> None:
    for number, name in enumerate(("\n\t\r", "\x1b[31m", "-rf")):
        ant(folder, f"{number}.png").rename(ant(folder, f"{name}.png"))


def no_unicode(folder: Path) -> None:
    ant(folder, "1.png").rename(ant(folder, os.fsdecode(b"\xff\xfe.png")))


def long_name(folder: Path) -> None:
    ant(folder, "1.png").rename(ant(folder, "1" * 251 + ".png"))


def val_instead_of_test(folder: Path) -> None:
    (folder / "test").rename(folder / "val")


ODD_FOLDERS = [
    *(link_to_a_class, link_to_an_image, link_to_a_split, folders_of_folders),
    *(two_hundred_folders_deep, hidden_files, other_case, names_of_all_kinds, no_unicode),
    *(long_name, val_instead_of_test),
]


@pytest.mark.parametrize("change", ODD_FOLDERS)
@pytest.mark.usefixtures("in_time")
def test_odd_folders(change: Callable[[Path], None], folder: Path) -> None:
    """The same images, labels and classes as before."""
    before = evaluated(folder)
    change(folder)
    after = evaluated(folder)
    assert after.classes == before.classes == ("ant", "bee")
    for name in ("train", "test"):
        pairs = []
        for data in (before, after):
            arrays = zip(
                getattr(data, f"{name}_labels"), getattr(data, f"{name}_images"), strict=True
            )
            pairs.append(sorted((int(label), image.tobytes()) for label, image in arrays))
        assert pairs[0] == pairs[1]


@pytest.mark.parametrize("name", ["Ameise 蟻", "a\nb", "é", "e\u0301", "-x", "b\udcff", "BEE"])
def test_odd_names_of_classes(name: str, folder: Path) -> None:
    """A name that differs by case is another class, as an alphabet's are."""
    for split in ("train", "test"):
        (folder / split / "ant").rename(folder / split / name)
    data = evaluated(folder)
    assert data.classes == tuple(sorted([name, "bee"]))
    assert load(folder).classes == data.classes  # from the cache


@pytest.fixture
def powerless() -> Iterator[None]:
    """Root can read everything."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.parametrize("name", ["train/ant/1.png", "train/ant", "train", "."])
def test_what_may_not_be_read(name: str, powerless: None) -> None:
    with TemporaryDirectory(dir="/tmp") as place:  # tmp_path may be root's
        folder = Path(place) / "data"
        for split in ("train", "test"):
            for label in ("ant", "bee"):
                (folder / split / label).mkdir(parents=True)
                Image.new("RGB", (8, 8)).save(folder / split / label / "1.png")
        (folder / name).chmod(0)
        try:
            with pytest.raises(InputError, match="Permission denied|does not exist"):
                load(folder)
        finally:
            (folder / name).chmod(0o700)


def idx(values: npt.NDArray[np.uint8]) -> bytes:
    """The format of MNIST's files."""
    sizes = struct.pack(f">{values.ndim}I", *values.shape)
    return bytes((0, 0, 8, values.ndim)) + sizes + values.tobytes()


@pytest.mark.parametrize(
    ("labels", "sentence"),
    [
        ([*range(10)], None),
        ([*range(9), 200], "10 images and 9 labels from 0 to 9"),
        ([*range(9)], "10 images and 9 labels from 0 to 9"),
        ([*range(11)], "10 images and 10 labels from 0 to 9"),
    ],
)
def test_labels_of_mnist(labels: list[int], sentence: str | None, tmp_path: Path) -> None:
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for split in ("train", "t10k"):
        images = np.zeros((10, 28, 28), np.uint8)
        (raw / f"{split}-images-idx3-ubyte").write_bytes(idx(images))
        (raw / f"{split}-labels-idx1-ubyte").write_bytes(idx(np.array(labels, np.uint8)))
    with pytest.raises(InputError, match=sentence) if sentence else nullcontext():
        load_images("mnist", data_dir=tmp_path, image_size=8, cache_dir=tmp_path / "cache")


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

import os
from pathlib import Path

import pytest

from df_heads.integrations.errors import InputError
from df_heads.integrations.own_images.finding import find_pictures


def make(root: Path, *names: str) -> Path:
    for name in names:
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    return root


@pytest.mark.parametrize(
    "names",
    [
        ("a.png", "b.jpg", "c.JPEG", "d.bmp", "e.webp"),
        ("only/a.png", "only/b.png"),
        ("train/a.png", "train/b.png"),
        ("a.png", "more/b.png", "other/c.png"),
        ("one/two/three/a.png", "notes/readme.txt"),
    ],
)
def test_without_two_class_folders_there_are_no_labels(
    tmp_path: Path, names: tuple[str, ...]
) -> None:
    found = find_pictures(make(tmp_path, *names))
    assert found.classes is None
    assert found.labels == ()
    assert found.tests == 0
    assert len(found.files) == sum(not name.endswith(".txt") for name in names)


@pytest.mark.parametrize("root", ["", "images/", "archive/images/", "train/", "Train/data/"])
def test_class_folders_are_found_at_any_depth(tmp_path: Path, root: str) -> None:
    names = [f"{root}{name}" for name in ("b/2.png", "a/1.png", "a/deep/er/0.png", "b/.hidden.png")]
    found = find_pictures(make(tmp_path, *names))
    assert found.classes == ("a", "b")
    assert [(file.name, label) for file, label in zip(found.files, found.labels, strict=True)] == [
        ("1.png", 0),
        ("0.png", 0),
        ("2.png", 1),
    ]


@pytest.mark.parametrize("test", ["test", "val", "Validation"])
def test_a_test_part_is_taken(tmp_path: Path, test: str) -> None:
    make(tmp_path, "train/a/0.png", "train/b/1.png", f"{test}/a/2.png", f"{test}/b/3.png")
    found = find_pictures(tmp_path)
    assert found.classes == ("a", "b")
    assert found.labels == (0, 1, 0, 1)
    assert [file.name for file in found.files[-found.tests :]] == ["2.png", "3.png"]


def test_a_test_part_may_lack_classes(tmp_path: Path) -> None:
    found = find_pictures(make(tmp_path, "train/a/0.png", "train/b/1.png", "test/images/b/2.png"))
    assert found.classes == ("a", "b")
    assert found.labels == (0, 1, 1)
    assert found.tests == 1


def test_an_unlabelled_test_part_makes_all_unlabelled(tmp_path: Path) -> None:
    found = find_pictures(make(tmp_path, "train/a/0.png", "train/b/1.png", "test/2.png"))
    assert found.classes is None
    assert found.tests == 1


def test_what_cannot_be_used_is_said_in_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        find_pictures(tmp_path / "none")
    with pytest.raises(InputError, match="holds no pictures"):
        find_pictures(make(tmp_path / "empty", "readme.txt"))
    with pytest.raises(InputError, match="is no folder"):
        find_pictures(tmp_path / "empty" / "readme.txt")
    pictures = ("train/a/0.png", "train/b/0.png", "test/a/0.png", "test/c/0.png")
    with pytest.raises(InputError, match="has the class 'c' that"):
        find_pictures(make(tmp_path / "c", *pictures))
    make(tmp_path / "pipe", "a.png")
    os.mkfifo(tmp_path / "pipe" / "b.png")
    with pytest.raises(InputError, match=r"b\.png is no ordinary file"):
        find_pictures(tmp_path / "pipe")

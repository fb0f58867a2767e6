import shutil
from pathlib import Path

import numpy as np
import pytest
from drawn_shapes import draw_folder
from PIL import Image

from df_heads.integrations.errors import InputError
from df_heads.integrations.own_images.opening import describe, open_pictures
from df_heads.integrations.runs import Preprocessing

SMALL = Preprocessing(image_size=16)


def test_a_share_of_each_class_is_held_out_always_the_same(shapes: Path) -> None:
    first, again = (open_pictures(shapes, SMALL) for _ in range(2))
    assert first.labels is not None
    assert np.bincount(first.labels[first.held_out]).tolist() == [1, 1, 1, 1]
    assert first.fingerprint == again.fingerprint
    assert len(first.train_images) == 20
    other = open_pictures(shapes, Preprocessing(image_size=12))
    assert other.fingerprint != first.fingerprint
    assert (other.held_out == first.held_out).all()


def test_without_labels_a_share_of_all_is_held_out(flat: Path) -> None:
    pictures = open_pictures(flat, SMALL)
    assert pictures.labels is None
    assert pictures.held_out.sum() == 5
    assert "24 without labels" in describe(pictures, SMALL)[0]


def test_the_folders_own_test_part_is_held_out(tmp_path: Path) -> None:
    draw_folder(tmp_path / "train", 8, size=(20, 20))
    draw_folder(tmp_path / "test", 4, size=(20, 20), seed=1)
    pictures = open_pictures(tmp_path, SMALL)
    assert pictures.held_out.tolist() == [False] * 8 + [True] * 4
    assert "4 held out (its own test part)" in describe(pictures, SMALL)[1]


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp", ".webp"])
def test_rectangles_of_any_kind_are_cut_as_the_rule_says(tmp_path: Path, suffix: str) -> None:
    draw_folder(tmp_path, 4, size=(50, 70), suffix=suffix)
    lines = describe(open_pictures(tmp_path, SMALL), SMALL)
    assert "the central 16 x 16" in lines[2]
    assert "leaves out 29% of the pixels" in lines[3]
    whole = Preprocessing(image_size=16, resize="stretch")
    assert "proportions are not kept" in describe(open_pictures(tmp_path, whole), whole)[2]


@pytest.fixture
def damaged(shapes: Path, tmp_path: Path) -> Path:
    folder = shutil.copytree(shapes, tmp_path / "damaged")
    (folder / "star" / "002.png").write_bytes(b"no picture")
    (folder / "star" / "006.png").write_bytes(b"")
    return folder


def test_unreadable_pictures_are_named_and_refused(damaged: Path) -> None:
    with pytest.raises(InputError, match=r"002\.png cannot be decoded.*1 more.*--skip-unreadable"):
        open_pictures(damaged, SMALL)


def test_unreadable_pictures_are_named_and_skipped_on_request(damaged: Path) -> None:
    said: list[str] = []
    pictures = open_pictures(damaged, SMALL, skip_unreadable=True, say=said.append)
    assert len(pictures.images) == len(pictures.found.files) == 22
    assert len(said) == 2
    assert all(line.startswith("skipped: ") and "star" in line for line in said)
    assert pictures.labels is not None
    names = [pictures.found.files[i].parent.name for i in range(22)]
    assert [pictures.found.classes[label] for label in pictures.labels] == names  # type: ignore[index]


def test_a_class_without_readable_pictures_is_no_class(damaged: Path) -> None:
    for file in (damaged / "star").iterdir():
        file.write_bytes(b"")
    pictures = open_pictures(damaged, SMALL, skip_unreadable=True, say=lambda _: None)
    assert pictures.classes == ("circle", "square", "triangle")


def test_too_few_and_equal_pictures_are_refused(tmp_path: Path) -> None:
    image = Image.new("RGB", (20, 20), "red")
    image.save(tmp_path / "0.png")
    with pytest.raises(InputError, match="holds 1 readable picture"):
        open_pictures(tmp_path, SMALL)
    for number in range(1, 6):
        image.save(tmp_path / f"{number}.png")
    with pytest.raises(InputError, match="all 6 pictures .* are equal"):
        open_pictures(tmp_path, SMALL)

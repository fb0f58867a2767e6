import math
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from looked_pages import Page
from made_runs import make_run
from PIL import Image

from df_heads.fusion import record_attention
from df_heads.integrations.command import look as command
from df_heads.integrations.command.main import command_parser
from df_heads.integrations.errors import InputError
from df_heads.integrations.look import look_at
from df_heads.integrations.runs import Run, load_backbone, load_head


@pytest.fixture(scope="module")
def looked(run: Run, shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    monkeypatch = pytest.MonkeyPatch()
    monkeypatch.setattr("df_heads.integrations.look.plane.find_spec", lambda _: None)
    page = look_at(run.path, shapes, out=tmp_path_factory.mktemp("page"))
    monkeypatch.undo()
    return page


def test_the_page_needs_nothing_from_outside(looked: Path) -> None:
    page = Page(looked)
    assert all(address.startswith("data:") for address in page.addresses)
    assert len(page.addresses) > 50
    assert not {f"#{name}" for name in page.ids} ^ ({*page.anchors} | {"#data", "#model", "#most"})
    assert 50_000 < len(page.html) < 3_000_000


def test_every_image_has_a_text_of_its_own(looked: Path) -> None:
    page = Page(looked)
    texts = [str(image["alt"]) for image in page.images]
    assert all(len(text) > 8 for text in texts)
    assert len(page.labels) == 5  # the map and four charts
    assert all(label and len(label) > 15 for label in page.labels)
    (of_map,) = [text for text in texts if text.startswith("Attention of layer")]
    assert of_map == page.data["alts"][page.data["layer"]]
    assert sum("similarity" in text for text in texts) == 8 * 5
    assert sum(", gets " in text for text in texts) == 8 * 5


def test_names_of_files_are_not_taken_for_html(looked: Path) -> None:
    page = Page(looked)
    assert any('<i>"a" & b.png' in title for title in page.data["titles"])
    assert "<i>" not in page.html


def test_the_maps_are_those_of_the_head(looked: Path, run: Run, shapes: Path) -> None:
    data = Page(looked).data
    backbone, preprocessing = load_backbone(run)
    head = load_head(run)
    names = [data["titles"][i].rpartition(" (")[0] for i in data["batch"]]
    pictures = [Image.open(shapes / name) for name in names]
    images = torch.stack([preprocessing(picture.convert("RGB")) for picture in pictures])
    with torch.no_grad(), record_attention(head) as maps:
        head(backbone(images).flatten(1))
    assert len(data["maps"]) == len(maps) == 2
    for shown, layer in zip(data["maps"], maps.values(), strict=True):
        torch.testing.assert_close(torch.tensor(shown), layer[0].mean(0), atol=1e-4, rtol=0)
    classes = [name.split("/")[0] for name in names]
    assert classes == sorted(classes)
    assert {classes.count(name) for name in set(classes)} == {6}


def test_the_figures_lie_beside_it(looked: Path) -> None:
    sizes = {}
    for file in looked.parent.glob("*.png"):
        with Image.open(file) as image:
            image.load()
            sizes[file.name] = image.size
    assert sizes.keys() == {
        "attention-layer-1.png",
        "attention-layer-2.png",
        "attends-to.png",
        "fusion-entropy.png",
        "fusion-same-class.png",
        "map.png",
        "neighbours.png",
        "training-knn.png",
        "training-loss.png",
    }
    assert sizes["attention-layer-1.png"] == (40 * 25, 40 * 25)


def test_what_it_says(looked: Path) -> None:
    text = Page(looked).text
    collapse = math.log(2 * 8 - 1)
    assert f"would be {collapse:.3f}, log(2N - 1) of NT-Xent for a batch of N = 8" in text
    assert "It is below: the head has not collapsed." in text
    assert "kNN accuracy went from 0.25 to 0.5." in text
    assert "by PCA: the two directions with the most variance" in text
    assert "evenly shared it would be 0.217" in text  # 5 of the 23 others
    assert "of random neighbours it would be 22\N{NO-BREAK SPACE}%" in text
    assert "the same head untrained" in text


def test_pictures_without_classes_are_clustered(run: Run, shapes: Path, tmp_path: Path) -> None:
    flat = tmp_path / "flat"
    flat.mkdir()
    for number, file in enumerate(sorted(shapes.rglob("*.png"))):
        shutil.copy(file, flat / f"{number}.png")
    page = Page(look_at(run.path, flat, out=tmp_path / "page", most=20, clusters=3))
    assert "pictures of no classes" in page.text
    assert "cluster 3" in page.text
    assert "cluster 4" not in page.text
    assert "There are no classes, so it is for your eyes to judge them." in page.text
    assert "Without two classes of two pictures or more there is no share" in page.text
    assert len(page.data["titles"]) == 20
    assert not (tmp_path / "page" / "fusion-same-class.png").exists()


def test_a_handful_of_pictures_and_a_head_that_sees_few(shapes: Path, tmp_path: Path) -> None:
    few = tmp_path / "few"
    few.mkdir()
    for number, file in enumerate(sorted(shapes.rglob("*.png"))[::6]):
        shutil.copy(file, few / f"{number}.png")
    for length in (None, 3, 1):
        made = make_run(tmp_path / f"run-{length}", head_options={"sequence_length": length})
        page = Page(look_at(made.path, few))
        assert len(page.data["maps"][0]) == (length or 4)
        assert "pictures of no classes" in page.text


def test_attention_off_has_nothing_to_fuse(shapes: Path, tmp_path: Path) -> None:
    made = make_run(tmp_path / "run", head="transformer-stable-self")
    text = Page(look_at(made.path, shapes)).text
    assert "pictures attend to themselves only, so nothing can fuse" in text


def test_a_feedforward_head_is_said_to_show_no_attention(shapes: Path, tmp_path: Path) -> None:
    made = make_run(tmp_path / "run", head="feedforward", head_options={"num_layers": 2})
    page = look_at(made.path, shapes)
    assert page == tmp_path / "run" / "look" / "look.html"
    found = Page(page)
    assert "takes each picture by itself, so there is no attention to show" in found.text
    assert "There is no training curve beside the weights" in found.text
    assert {file.name for file in page.parent.iterdir()} == {
        "look.html",
        "map.png",
        "neighbours.png",
    }
    assert look_at(made.path, shapes) == page  # again, over the earlier one


def test_bad_input_gets_one_sentence_and_writes_nothing(
    run: Run, shapes: Path, tmp_path: Path
) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "note.txt").write_text("mine")
    unfinished = make_run(tmp_path / "unfinished", finished=False)
    broken = make_run(tmp_path / "broken", curve="epoch,loss\n1,much\n")
    cases: list[tuple[Any, Any, dict[str, Any], str]] = [
        (tmp_path / "none", shapes, {}, "there is no run folder"),
        (mine, shapes, {}, "is not a run folder"),
        (unfinished.path, shapes, {}, "is not finished; finish it with its own command"),
        (broken.path, shapes, {}, "curve.csv is damaged"),
        (run.path, tmp_path / "none", {}, "does not exist"),
        (run.path, None, {}, "shapes does not exist"),
        (run.path, shapes, {"out": mine}, "holds other things than a look.html"),
        (run.path, shapes, {"out": mine / "note.txt"}, "is a file; name a folder"),
        (run.path, shapes, {"backbone": "resnet18"}, "--backbone is for checkpoints"),
        (run.path, shapes, {"most": 1}, "--most 1 must be at least 4"),
    ]
    for place, folder, options, message in cases:
        with pytest.raises(InputError, match=message) as error:
            look_at(place, folder, **{"out": tmp_path / "page", **options})
        assert "\n" not in str(error.value)
    assert [file.name for file in mine.iterdir()] == ["note.txt"]
    assert not (tmp_path / "page").exists()


def test_the_command_says_where_the_page_is(
    run: Run, shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [str(run.path), str(shapes), "--out", str(tmp_path / "page"), "--most", "8"]
    assert command.run(command_parser(command).parse_args(arguments)) == 0
    said = capsys.readouterr().out
    assert (f"wrote {tmp_path / 'page' / 'look.html'} and 9 figures beside it: ") in said
    assert "open it in a browser: file:///" in said

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from made_runs import make_run
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file
from timm.data.config import resolve_model_data_config
from timm.data.transforms_factory import create_transform

from df_heads.integrations.choices import EXPORTS
from df_heads.integrations.command import export as command
from df_heads.integrations.command.main import command_parser
from df_heads.integrations.errors import InputError
from df_heads.integrations.export import TARGETS, export_backbone
from df_heads.integrations.export.model_card import MARK
from df_heads.integrations.runs import load_backbone

# Runs the two code blocks of each model card in its own folder, as a reader would.
READER = """
import os, re, sys, torch
sys.modules["df_heads"] = None  # every import of it fails
for folder in sys.argv[1:]:
    os.chdir(folder)
    load, features = re.findall(r"```python\\n(.*?)```", open("README.md").read(), re.S)
    names = {}
    exec(load, names)
    exec(features, names)
    images = torch.load("images.pt")
    with torch.no_grad():
        found = names["model"](images).flatten(1)
    torch.save((found, names["features"].flatten(1)), "found.pt")
    assert "df_heads" not in {name.split(".")[0] for name, m in sys.modules.items() if m}
"""
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "timm": ("test_resnet", {"resize": "stretch"}),
    "safetensors": ("test_resnet", {}),
    "onnx": ("test_resnet", {}),
    "torch-export": ("test_resnet", {}),
    "torchvision": ("resnet18", {"stem": "small"}),
    "timm: small stem": ("resnet18", {"stem": "small"}),
    "timm: vit": ("test_vit", {"stem": "small"}),
}


@pytest.fixture(scope="module")
def photo() -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 255, (50, 70, 3))
    return Image.fromarray(pixels.astype(np.uint8)).resize((140, 100))


@pytest.fixture(scope="module")
def exported(
    tmp_path_factory: pytest.TempPathFactory, photo: Image.Image
) -> dict[str, tuple[Path, torch.Tensor]]:
    """The folder of each case and what the trained backbone gives, read by one other process."""
    found = {}
    for case, (backbone, options) in CASES.items():
        target = case.split(":")[0]
        if any(find_spec(package) is None for package in TARGETS[target].packages):
            continue
        folder = tmp_path_factory.mktemp("case")
        run = make_run(folder / "run", backbone, classes=["disc", "square"], **options)
        file = export_backbone(run, target).file
        images = torch.randn(5, 3, 32, 32)
        model, preprocessing = load_backbone(run)
        photo.save(file.with_name("picture.jpg"))
        torch.save(images, file.with_name("images.pt"))
        with torch.no_grad(), Image.open(file.with_name("picture.jpg")) as picture:
            expected = torch.cat([model(images), model(preprocessing(picture)[None])])
        found[case] = file.parent, expected
    folders = [str(folder) for folder, _ in found.values()]
    subprocess.run([sys.executable, "-W", "error", "-c", READER, *folders], check=True, timeout=240)
    return found


@pytest.mark.parametrize("case", CASES)
def test_a_process_without_df_heads_gets_the_same_features(
    exported: dict[str, tuple[Path, torch.Tensor]], case: str
) -> None:
    if case not in exported:
        pytest.skip(f"{case} needs {' and '.join(TARGETS[case].packages)}")
    folder, expected = exported[case]
    found = torch.cat(torch.load(folder / "found.pt"))
    assert expected.std() > 1e-3
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_the_card_tells_the_recipe(exported: dict[str, tuple[Path, torch.Tensor]]) -> None:
    card = (exported["timm: small stem"][0] / "README.md").read_text()
    assert "| stem | 3x3 of stride 1, no max-pooling |" in card
    assert "not one that timm or torchvision can build from arguments" in card
    assert "| learning_rate | 0.1 |" in card
    assert "2 classes (disc, square)" in card
    assert "df-heads train shapes" in card
    vit = (exported["timm: vit"][0] / "README.md").read_text()
    assert "`num_classes=0`; beside it `img_size=32`, `patch_size=4`" in vit
    assert "pretrained" not in vit


def test_timm_takes_the_file_and_the_folder(
    exported: dict[str, tuple[Path, torch.Tensor]],
) -> None:
    cases: list[tuple[str, str, dict[str, Any]]] = [
        ("timm", "test_resnet", {}),
        ("timm: vit", "test_vit", {"img_size": 32, "patch_size": 4}),
    ]
    for case, name, arguments in cases:
        folder, expected = exported[case]
        file = str(folder / "model.safetensors")
        images = torch.load(folder / "images.pt")
        by_file = timm.create_model(name, checkpoint_path=file, num_classes=0, **arguments)
        by_folder = timm.create_model(f"local-dir:{folder}", pretrained=True)
        for model in (by_file, by_folder):
            with torch.no_grad():
                torch.testing.assert_close(model.eval()(images), expected[:5])
        transform = create_transform(**resolve_model_data_config(by_folder))
        assert transform(Image.new("RGB", (70, 50))).shape == (3, 32, 32)


def test_the_files_hold_contiguous_weights_and_the_arguments(
    exported: dict[str, tuple[Path, torch.Tensor]],
) -> None:
    folder, _ = exported["timm: vit"]
    with safe_open(folder / "model.safetensors", "pt") as content:
        described = json.loads(content.metadata()["df_heads"])
    assert described["create_model"] == {"num_classes": 0, "img_size": 32, "patch_size": 4}
    weights = load_file(folder / "model.safetensors")
    assert all(value.is_contiguous() for value in weights.values())


def test_the_folder_of_an_earlier_export_is_written_again(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    first = export_backbone(run, "timm", tmp_path / "out" / "mine.safetensors")
    assert {path.name for path in first.beside} == {"README.md", "config.json"}
    assert MARK in (tmp_path / "out" / "README.md").read_text()
    assert export_backbone(run, "timm", tmp_path / "out" / "mine.safetensors") == first
    assert "timm.create_model('test_resnet', num_classes=0, checkpoint_path='" in first.how_to_load


def test_bad_input_gets_one_sentence_and_touches_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(tmp_path / "run")
    mine = tmp_path / "project"
    mine.mkdir()
    (mine / "README.md").write_text("mine")
    cases: list[tuple[Any, str, Any, str]] = [
        (run, "jax", None, "--to jax is not known; choose one of timm, torchvision, onnx"),
        (tmp_path / "none", "timm", None, "there is no run folder"),
        (mine, "timm", None, "is not a run folder"),
        (run, "timm", mine, "is a folder; name the file, such as"),
        (run, "timm", mine / "a.safetensors", "holds a README.md that is not of an export"),
        (run, "torchvision", None, "torchvision has no test_resnet; it shares ResNets with timm"),
    ]
    for source, target, out, message in cases:
        with pytest.raises(InputError, match=message) as error:
            export_backbone(source, target, out)
        assert "\n" not in str(error.value)
    monkeypatch.setattr("df_heads.integrations.export.target.find_spec", lambda _: None)
    with pytest.raises(InputError, match="--to onnx needs onnx and onnxscript and"):
        export_backbone(run, "onnx")
    assert [path.name for path in mine.iterdir()] == ["README.md"]
    assert (mine / "README.md").read_text() == "mine"
    assert not (run.path / "export").exists()


def test_the_command_says_what_it_wrote_and_how_to_load_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tuple(TARGETS) == EXPORTS
    make_run(tmp_path / "run", "resnet18", stem="small")
    parser = command_parser(command)
    assert command.run(parser.parse_args([str(tmp_path / "run"), "--to", "timm"])) == 0
    said = capsys.readouterr().out
    file = tmp_path / "run" / "export" / "timm" / "model.safetensors"
    assert said.startswith(f"wrote {file} and README.md beside it\n")
    assert "its stem for small images is no argument of the library" in said
    assert "model.maxpool = torch.nn.Identity()" in said


def test_a_mistyped_kind_is_guessed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command_parser(command).parse_args(["run", "--to", "onxx"])
    assert "did you mean onnx?" in capsys.readouterr().err

import csv
import importlib.util
import os
import shlex
import shutil
import signal
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from df_heads.integrations import supcon
from df_heads.integrations.choices import METHODS, MethodName
from df_heads.integrations.errors import InputError
from df_heads.integrations.method.classes import method_class
from df_heads.integrations.own_images.closing_words import closing_words
from df_heads.integrations.own_images.recipe import fit_recipe
from df_heads.integrations.runs import Run, load_backbone, load_head, read_run
from df_heads.integrations.supcon import SupCon
from df_heads.integrations.training.interruption import Interrupted, interruptible

Trained = tuple[Run, list[str]]


def rows(run: Run) -> list[dict[str, str]]:
    with run.curve_file.open(newline="") as file:
        return list(csv.DictReader(file))


def contents(folder: Path) -> dict[Path, bytes]:
    return {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_a_run_holds_what_it_promises(trained: Trained) -> None:
    run, _ = trained
    config = read_run(run.path).config
    assert config == run.config
    assert config.finished
    assert config.images.classes == ["circle", "square", "star", "triangle"]
    assert (config.images.count, config.images.held_out) == (24, 4)
    assert [list(row) for row in rows(run)] == [
        ["epoch", "loss", "knn", "learning_rate", "seconds"]
    ] * 2
    assert {file.name for file in run.checkpoints.iterdir()} == {"last.ckpt", "previous.ckpt"}


def test_its_backbone_and_head_load(trained: Trained) -> None:
    run, _ = trained
    backbone, preprocessing = load_backbone(run.path)
    image = Image.new("RGB", (30, 50), "red")
    features = backbone(preprocessing(image)[None])
    assert features.shape == (1, 96)
    assert load_head(run)(features.repeat(3, 1)).shape == (3, 128)


def test_it_says_what_it_does_and_what_is_next(trained: Trained) -> None:
    run, said = trained
    text = "\n".join(said)
    assert "\r" not in text
    assert "24 in 4 classes" in text
    assert "central 16 x 16" in text
    for number, row in enumerate(rows(run), start=1):
        line = next(line for line in said if line.startswith(f"epoch {number}/2"))
        assert f"loss {float(row['loss']):7.4f}" in line
        assert f"{float(row['knn']):.1%}" in line
    assert said[-2].endswith(f"df-heads look {run.path} {run.config.images.folder}")
    assert said[-1].endswith(f"df-heads evaluate {run.path} {run.config.images.folder}")


def test_the_command_it_prints_repeats_it(
    trained: Trained, tmp_path: Path, tiny_train: Callable[..., Run]
) -> None:
    from df_heads.integrations.command import train as command
    from df_heads.integrations.command.main import command_parser

    run, said = trained
    words = shlex.split(run.config.command)
    assert any(line.endswith(run.config.command) for line in said)
    assert words[:2] == ["df-heads", "train"]
    words[words.index("--out") + 1] = str(tmp_path / "again")
    args = vars(command_parser(command).parse_args(words[2:]))
    again = tiny_train(args.pop("folder"), args.pop("out"), **args)
    assert again.config.recipe == run.config.recipe
    assert [row["loss"] for row in rows(again)] == [row["loss"] for row in rows(run)]
    theirs, ours = load_file(again.backbone_file), load_file(run.backbone_file)
    assert all(torch.equal(theirs[name], ours[name]) for name in ours)


def test_a_finished_run_is_not_trained_again(
    trained: Trained, shapes: Path, tiny_train: Callable[..., Run]
) -> None:
    run, _ = trained
    before, said = contents(run.path), list[str]()
    assert tiny_train(shapes, run.path, said) == run
    assert said == [f"{run.path} is finished: nothing to do. To train again choose another --out."]
    assert contents(run.path) == before


def test_another_run_or_folder_in_the_way_is_left_as_it_is(
    trained: Trained, shapes: Path, flat: Path, tmp_path: Path, tiny_train: Callable[..., Run]
) -> None:
    run, _ = trained
    before = contents(run.path)
    with pytest.raises(InputError, match="with --epochs 2, not 3; choose another --out"):
        tiny_train(shapes, run.path, epochs=3)
    with pytest.raises(InputError, match="trained on other pictures"):
        tiny_train(flat, run.path)
    assert contents(run.path) == before
    (tmp_path / "thesis.txt").write_text("three years")
    with pytest.raises(InputError, match=r"is not a run folder.*choose another --out"):
        tiny_train(shapes, tmp_path)
    with pytest.raises(InputError, match="is a file"):
        tiny_train(shapes, tmp_path / "thesis.txt")
    assert [file.name for file in tmp_path.iterdir()] == ["thesis.txt"]


def test_bad_pictures_and_settings_leave_no_folder(
    shapes: Path, tmp_path: Path, tiny_train: Callable[..., Run]
) -> None:
    out = tmp_path / "run"
    for options, words in (
        ({"batch_size": 21}, "--batch-size 21 is more than the 20 pictures"),
        ({"backbone": "resnet81"}, "timm has no backbone 'resnet81'. Did you mean"),
        ({"head": "transfomer"}, "Did you mean 'transformer"),
        ({"learning_rate": float("nan")}, "--learning-rate nan must be above 0"),
        ({"image_size": 2}, "--image-size 2 must be a whole number from 8"),
        ({"min_scale": 0.0}, "min_scale must be in"),
        ({"logger": "wandb"}, "--logger wandb needs .* pip install wandb"),
    ):
        if "logger" in options and importlib.util.find_spec("wandb"):
            continue
        with pytest.raises(InputError, match=words):
            tiny_train(shapes, out, **options)
        assert not out.exists()


def test_unlabelled_pictures_are_measured_by_rank_me(
    flat: Path, tmp_path: Path, tiny_train: Callable[..., Run]
) -> None:
    said: list[str] = []
    run = tiny_train(flat, tmp_path / "run", said, epochs=1, optimizer="lars")
    assert list(rows(run)[0]) == ["epoch", "loss", "rank_me", "learning_rate", "seconds"]
    assert run.config.images.classes is None
    assert any("RankMe" in line for line in said)
    assert not any("kNN" in line for line in said)


@pytest.mark.parametrize("method", [name for name in METHODS if name not in ("simclr", "supcon")])
def test_other_methods(
    method: MethodName, flat: Path, tmp_path: Path, tiny_train: Callable[..., Run]
) -> None:
    run = tiny_train(flat, tmp_path / "run", method=method, epochs=1, head="feedforward-small")
    assert run.config.method == method
    wide = method_class(method).head_defaults.get("output_dim", 512)
    assert load_head(run)(torch.randn(4, 96)).shape == (4, wide)


def test_supcon_trains_on_the_labels_and_is_measured_on_others(
    shapes: Path, flat: Path, tmp_path: Path, tiny_train: Callable[..., Run]
) -> None:
    seen: list[torch.Tensor] = []

    class Recording(SupCon):
        def loss(self, views: Any, labels: Any = None) -> torch.Tensor:
            seen.append(labels)
            return super().loss(views, labels)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(supcon, "SupCon", Recording)
        run = tiny_train(shapes, tmp_path / "run", method="supcon", epochs=1)
    assert len(torch.cat(seen).unique()) == len(run.config.images.classes or ())
    features = run.config.features
    assert features is not None
    assert features.pictures == run.config.images.held_out
    with pytest.raises(InputError, match="--method supcon trains on labels, and .* has none"):
        tiny_train(flat, tmp_path / "none", method="supcon", epochs=1)
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("signum", "listening", "raised"),
    [
        (signal.SIGINT, interruptible, Interrupted),
        (signal.SIGTERM, interruptible, Interrupted),
        (signal.SIGINT, nullcontext, KeyboardInterrupt),
        (signal.SIGTERM, nullcontext, SystemExit),
    ],
)
def test_an_interrupted_training_goes_on_to_the_same_weights(
    signum: int,
    listening: Callable[[], AbstractContextManager[None]],
    raised: type[BaseException],
    trained: Trained,
    shapes: Path,
    tmp_path: Path,
    tiny_train: Callable[..., Run],
) -> None:
    whole, _ = trained
    out = tmp_path / "run"

    class Stopping(list[str]):
        def append(self, line: str) -> None:
            super().append(line)
            if line.startswith("epoch 1/2"):
                os.kill(os.getpid(), signum)

    before = signal.getsignal(signum)
    with pytest.raises(raised), listening():
        tiny_train(shapes, out, Stopping())
    assert listening is interruptible or signal.getsignal(signum) is before
    with pytest.raises(InputError, match="is not finished; finish it with its own command"):
        read_run(out)
    assert (out / "backbone.safetensors").exists()
    said: list[str] = []
    run = tiny_train(shapes, out, said)
    assert any(line.startswith(f"going on from {run.checkpoints}") for line in said)
    assert run.config.features == whole.config.features
    assert [row["loss"] for row in rows(run)] == [row["loss"] for row in rows(whole)]
    ours, theirs = load_file(whole.backbone_file), load_file(run.backbone_file)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_two_processes_do_not_train_into_one_folder(
    shapes: Path, tmp_path: Path, tiny_train: Callable[..., Run]
) -> None:
    from filelock import FileLock

    with (
        FileLock(tmp_path / ".lock"),
        pytest.raises(InputError, match="another process trains into"),
    ):
        tiny_train(shapes, tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == [".lock"]


def test_features_below_the_untrained_ones_are_said(trained: Trained, tmp_path: Path) -> None:
    import msgspec

    run, _ = trained
    assert run.config.features is not None
    for before, is_said in ((0.9, True), (0.1, False)):
        found = msgspec.structs.replace(run.config.features, untrained=before, trained=0.5)
        config = msgspec.structs.replace(run.config, features=found)
        lines = "\n".join(closing_words(Run(run.path, config), tmp_path))
        assert f"kNN 50.0% after training, kNN {before:.1%} before" in lines
        assert ("Training made the features worse" in lines) is is_said


@pytest.mark.parametrize("pictures", [4, 7, 20, 160, 5000, 10**6])
def test_a_recipe_fits_any_number_of_pictures(pictures: int) -> None:
    recipe = fit_recipe(pictures)
    assert 2 <= recipe.batch_size <= min(pictures, 256)
    assert recipe.epochs >= 20
    given: dict[str, Any] = {"epochs": 3, "batch_size": 4, "method": None}
    assert fit_recipe(pictures, **given).epochs == 3
    assert fit_recipe(pictures, **given).method == "simclr"


def test_a_damaged_checkpoint_gives_way_to_the_one_before(
    trained: Trained, shapes: Path, tmp_path: Path, tiny_train: Callable[..., Run]
) -> None:
    import msgspec

    from df_heads.integrations.runs import write_config

    whole, _ = trained
    out = shutil.copytree(whole.path, tmp_path / "run")
    write_config(out, msgspec.structs.replace(whole.config, finished=False, features=None))
    (out / "checkpoints" / "last.ckpt").write_bytes(b"0")
    said: list[str] = []
    run = tiny_train(shapes, out, said)
    assert any("is damaged" in line and "the one before" in line for line in said)
    assert run.config.features == whole.config.features

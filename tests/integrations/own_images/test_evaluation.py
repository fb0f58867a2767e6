import shutil
from pathlib import Path

import msgspec
import pytest

from df_heads.evaluation import extract_features
from df_heads.integrations.callbacks.online_knn import measure_features
from df_heads.integrations.errors import InputError
from df_heads.integrations.own_images.evaluation import Evaluation, evaluate, untrained_backbone
from df_heads.integrations.own_images.opening import open_pictures
from df_heads.integrations.own_images.training import _measured
from df_heads.integrations.runs import Run, load_backbone

Trained = tuple[Run, list[str]]


def test_the_backbones_are_those_that_training_measured(trained: Trained, shapes: Path) -> None:
    run, _ = trained
    assert run.config.features is not None
    pictures = open_pictures(shapes, run.config.preprocessing)
    images, labels = _measured(pictures, run.config)
    for backbone, told in (
        (untrained_backbone(run), run.config.features.untrained),
        (load_backbone(run)[0], run.config.features.trained),
    ):
        assert measure_features(extract_features(backbone, [images]), labels)[1] == told


def test_labelled_pictures(trained: Trained, shapes: Path) -> None:
    run, _ = trained
    found = evaluate(run.path, shapes)
    assert found.has_labels
    assert list(found.trained) == list(found.untrained)
    assert [name for name in found.trained if "probe" in name] == [
        "linear probe, 1% of labels",
        "linear probe, 10% of labels",
        "linear probe, 100% of labels",
    ]
    assert all(0 <= value <= 1 for value in found.trained.values())
    assert "Of 4 held-out pictures" in str(found)
    same = Evaluation(found.trained, found.trained, True, "")
    assert same.worse == ()
    assert found.measured_on in str(found)


def test_unlabelled_pictures(trained: Trained, flat: Path) -> None:
    run, _ = trained
    found = evaluate(run, flat)
    assert list(found.trained) == ["RankMe", "effective rank"]
    assert "there is no accuracy" in str(found)


def test_what_training_made_worse_is_named() -> None:
    found = Evaluation({"a": 0.4, "b": 0.6}, {"a": 0.5, "b": 0.5}, True, "Of 8 pictures.")
    assert found.worse == ("a",)
    assert str(found).endswith("Training made it worse by: a.")
    assert "50.0%     40.0%" in str(found)


def test_what_cannot_be_evaluated(
    trained: Trained, shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, _ = trained
    with pytest.raises(InputError, match="there is no run folder"):
        evaluate(tmp_path / "none", shapes)
    with pytest.raises(InputError, match="is not a run folder"):
        evaluate(shapes, shapes)
    few = tmp_path / "few"
    for name in ("circle/000.png", "circle/004.png", "star/002.png", "star/006.png"):
        (few / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(shapes / name, few / name)
    shutil.copytree(few, tmp_path / "split" / "train")
    (tmp_path / "split" / "test" / "star").mkdir(parents=True)
    (tmp_path / "split" / "test" / "circle").mkdir()
    shutil.copy(shapes / "star" / "010.png", tmp_path / "split" / "test" / "star")
    with pytest.raises(InputError, match="1 pictures held out"):
        evaluate(run, tmp_path / "split")

    def unreachable(*_: object, **__: object) -> None:
        raise OSError("the hub cannot be reached")

    monkeypatch.setattr("df_heads.integrations.own_images.evaluation.build_backbone", unreachable)
    recipe = {**run.config.recipe, "pretrained": True}
    pretrained = Run(run.path, msgspec.structs.replace(run.config, recipe=recipe))
    with pytest.raises(InputError, match="resnet cannot be loaded .the hub"):
        evaluate(pretrained, shapes)

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from made_results import save_made

from df_heads.benchmarks.harness.base.errors import InputError
from df_heads.benchmarks.harness.base.experiment import SETTINGS, Experiment
from df_heads.benchmarks.harness.store.results import ResultFolder


def experiment(**changes: Any) -> Experiment:
    return dataclasses.replace(Experiment("digits", "transformer-small"), **changes)


def another(value: Any, name: str) -> Any:
    """Another value that the field accepts."""
    if SETTINGS[name].choices:
        return next(choice for choice in SETTINGS[name].choices if choice != value)
    if isinstance(value, bool) or name == "norm_first":
        return not value
    if isinstance(value, float):
        return value / 2 + 0.2 if name != "imbalance" else 2.0
    if isinstance(value, int):
        return 2 if name == "streams" else value + 1
    if name == "teacher_momentum":
        return 0.5
    return 99 if value is None else "other"


def test_equal_experiments_share_a_key_and_every_field_changes_it() -> None:
    assert experiment().key == experiment().key
    changed = [
        experiment(**{field.name: another(getattr(experiment(), field.name), field.name)})
        for field in dataclasses.fields(Experiment)
    ]
    assert len({e.key for e in [experiment(), *changed]}) == len(changed) + 1


def test_the_method_is_in_the_name_and_results_from_before_it_keep_theirs() -> None:
    assert experiment(method="moco").name.startswith(
        "digits-resnet18-moco-transformer-small-1000ep"
    )
    committed = Experiment("cifar10", "transformer-small", epochs=5)
    assert committed.name == "cifar10-resnet18-transformer-small-5ep-s0-38619d07c7f7"
    assert experiment(method="byol").untrained == experiment().untrained


def test_a_result_from_before_a_field_was_added_still_counts(tmp_path: Path) -> None:
    folder = ResultFolder(tmp_path)
    save_made(folder, experiment())
    file = folder.file(experiment())
    result = json.loads(file.read_text())
    del result["config"]["devices"]
    file.write_text(json.dumps(result))
    assert folder.load(experiment()) is not None
    result["config"]["head"] = "feedforward-small"
    file.write_text(json.dumps(result))
    with pytest.raises(InputError, match="another config"):
        folder.load(experiment())


def test_the_untrained_backbone_is_the_same_run_for_every_recipe() -> None:
    assert experiment(epochs=3, temperature=0.5).untrained == experiment().untrained
    assert experiment(seed=1).untrained != experiment().untrained
    assert experiment(image_size=16).untrained != experiment().untrained


def test_a_result_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    folder = ResultFolder(tmp_path / "new" / "folder")
    assert folder.load(experiment()) is None
    saved = save_made(folder, experiment(), [{"epoch": 1, "train_loss": 2.0}])
    result = folder.load(experiment())
    assert result == saved
    assert Experiment.from_config(result.config) == experiment()
    curve = folder.file(experiment()).with_suffix(".curve.csv").read_text()
    assert curve == "epoch,train_loss\n1,2.0\n"
    assert folder.load(experiment(seed=1)) is None


def test_files_of_another_config_or_damaged_ones_are_refused_and_kept(tmp_path: Path) -> None:
    folder = ResultFolder(tmp_path)
    save_made(folder, experiment())
    file = folder.file(experiment(seed=1))
    text = folder.file(experiment()).read_text()
    for content, message in ((text, "another config"), (text[:40], "damaged"), ("[]", "no JSON")):
        file.write_text(content)
        with pytest.raises(InputError, match=message):
            folder.load(experiment(seed=1))
        assert file.read_text() == content


def test_an_out_dir_that_is_a_file_gets_one_clear_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be made"):
        ResultFolder(tmp_path / "file")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": -1}, "--epochs -1 must be a number from 0"),
        ({"batch_size": 1}, "--batch-size 1 must be a number from 2"),
        ({"image_size": 4}, "--image-size 4"),
        ({"seed": -1}, "--seed -1"),
        ({"train_images": 0}, "--train-images 0"),
        ({"imbalance": 0.5}, "--imbalance 0.5 must be a number from 1"),
        ({"imbalance": float("nan")}, "--imbalance nan"),
    ],
)
def test_impossible_experiments_get_one_clear_sentence(
    changes: dict[str, object], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        experiment(**changes)

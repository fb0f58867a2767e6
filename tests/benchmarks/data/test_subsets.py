import dataclasses
from typing import Any

import numpy as np
import pytest

from df_heads.benchmarks.harness.base.errors import InputError
from df_heads.benchmarks.harness.base.experiment import Experiment
from df_heads.benchmarks.harness.data.images import ImageData
from df_heads.benchmarks.harness.data.subsets import (
    images_of,
    imbalanced_counts,
    pretraining_images,
)

EXPERIMENT = Experiment("digits", "transformer-small", image_size=16)


def test_held_out_images_take_the_place_of_the_test_set(tiny_data: ImageData) -> None:
    parts = [
        images_of(dataclasses.replace(EXPERIMENT, holdout=0.25, seed=seed), tiny_data)
        for seed in (0, 1)
    ]
    assert np.array_equal(parts[0].test_images, parts[1].test_images)
    part = parts[0]
    assert (len(part.train_labels), len(part.test_labels)) == (36, 12)
    assert np.bincount(part.test_labels).tolist() == [6, 6]
    whole = [image.tobytes() for image in tiny_data.train_images]
    train = [image.tobytes() for image in part.train_images]
    held = [image.tobytes() for image in part.test_images]
    assert sorted(train + held) == sorted(whole)
    assert not set(held) & {image.tobytes() for image in tiny_data.test_images}
    for image, label in zip(part.test_images, part.test_labels, strict=True):
        assert tiny_data.train_labels[whole.index(image.tobytes())] == label


def test_without_a_holdout_nothing_changes(tiny_data: ImageData) -> None:
    assert images_of(EXPERIMENT, tiny_data) is tiny_data
    few = dataclasses.replace(EXPERIMENT, holdout=0.25, train_images=20)
    assert len(images_of(few, tiny_data).train_labels) == 20
    assert len(images_of(few, tiny_data).test_labels) == 12
    assert dataclasses.replace(EXPERIMENT, holdout=0.0).key == EXPERIMENT.key


@pytest.mark.parametrize("holdout", [1.0, -0.1, 99])
def test_an_impossible_holdout_gets_one_clear_sentence(
    holdout: float, tiny_data: ImageData
) -> None:
    with pytest.raises(InputError, match=f"--holdout {holdout} must be a number"):
        images_of(dataclasses.replace(EXPERIMENT, holdout=holdout), tiny_data)


def test_long_tails_are_those_of_the_long_tailed_cifars() -> None:
    # 5000 * 100 ** (-c / 9), and the totals that papers print for ratios 100 and 10.
    tail = imbalanced_counts(5000, 10, 100)
    assert tail == [5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50]
    assert (sum(tail), sum(imbalanced_counts(5000, 10, 10))) == (12406, 20431)
    assert (sum(imbalanced_counts(500, 100, 100)), imbalanced_counts(500, 100, 100)[-1]) == (
        10847,
        5,
    )
    # A third of 300 is 100, whatever a float makes of it.
    assert imbalanced_counts(300, 3, 3)[-1] == 100
    assert imbalanced_counts(7, 1, 10) == [7]


def test_only_what_the_network_trains_on_is_imbalanced(tiny_data: ImageData) -> None:
    counts = {}
    for ratio in (1.0, 2.0, 8.0):
        experiment = dataclasses.replace(EXPERIMENT, imbalance=ratio)
        assert images_of(experiment, tiny_data) is tiny_data
        part = pretraining_images(experiment, tiny_data)
        assert part.test_images is tiny_data.test_images
        counts[ratio] = np.bincount(part.train_labels).tolist()
        whole = [image.tobytes() for image in tiny_data.train_images]
        kept = [whole.index(image.tobytes()) for image in part.train_images]
        assert tiny_data.train_labels[kept].tolist() == part.train_labels.tolist()
    assert counts == {1.0: [24, 24], 2.0: [24, 12], 8.0: [24, 3]}


def test_every_seed_and_head_gets_the_same_images_and_a_higher_ratio_some_of_them(
    tiny_data: ImageData,
) -> None:
    def kept(**changes: Any) -> list[bytes]:
        experiment = dataclasses.replace(EXPERIMENT, **{"imbalance": 2.0, **changes})
        images = pretraining_images(experiment, tiny_data).train_images
        return [image.tobytes() for image in images]

    assert kept() == kept(seed=1) == kept(head="feedforward-small")
    assert set(kept(imbalance=8.0)) < set(kept())


@pytest.mark.parametrize("imbalance", [24.5, 1e9])
def test_a_class_without_images_gets_one_clear_sentence(
    imbalance: float, tiny_data: ImageData
) -> None:
    assert pretraining_images(dataclasses.replace(EXPERIMENT, imbalance=24.0), tiny_data)
    with pytest.raises(InputError, match="leaves no image of class 1 of digits; .* has 24"):
        pretraining_images(dataclasses.replace(EXPERIMENT, imbalance=imbalance), tiny_data)


def test_the_first_classes_are_all_that_is_left_of_both_splits(tiny_data: ImageData) -> None:
    labels = np.arange(len(tiny_data.train_labels)) % 3
    three = dataclasses.replace(
        tiny_data,
        train_labels=labels,
        test_labels=np.arange(len(tiny_data.test_labels)) % 3,
        classes=("a", "b", "c"),
    )
    two = images_of(dataclasses.replace(EXPERIMENT, classes=2, train_images=10), three)
    assert two.classes == ("a", "b")
    assert np.bincount(two.train_labels).tolist() == [5, 5]
    assert set(two.test_labels) == {0, 1}
    assert np.array_equal(two.test_images, three.test_images[three.test_labels < 2])
    first = {image.tobytes() for image in three.train_images[labels < 2]}
    assert {image.tobytes() for image in two.train_images} <= first
    with pytest.raises(InputError, match="--classes 4 is more than the 3"):
        images_of(dataclasses.replace(EXPERIMENT, classes=4), three)


def test_the_backbone_before_training_is_measured_on_the_same_classes() -> None:
    two = dataclasses.replace(EXPERIMENT, classes=2)
    assert two.untrained.classes == 2
    assert two.untrained.key != EXPERIMENT.untrained.key

import dataclasses

import numpy as np
import pytest

from df_heads.benchmarks.harness.errors import InputError
from df_heads.benchmarks.harness.experiment import Experiment
from df_heads.benchmarks.harness.images import ImageData
from df_heads.benchmarks.harness.subsets import images_of

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
    with pytest.raises(InputError, match="must be above 0 and below 1, such as 0.1"):
        images_of(dataclasses.replace(EXPERIMENT, holdout=holdout), tiny_data)

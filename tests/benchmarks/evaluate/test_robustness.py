import dataclasses
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from made_results import save_made, save_made_evaluation

from df_heads.benchmarks.harness.base.errors import InputError
from df_heads.benchmarks.harness.base.experiment import Experiment
from df_heads.benchmarks.harness.base.machine import Machine
from df_heads.benchmarks.harness.data.corruptions import CORRUPTIONS, SEVERITIES, corrupt
from df_heads.benchmarks.harness.data.images import ImageData
from df_heads.benchmarks.harness.evaluate import shifts
from df_heads.benchmarks.harness.evaluate.evaluation import FinishedRun
from df_heads.benchmarks.harness.evaluate.robustness import Robustness
from df_heads.benchmarks.harness.evaluate.shifts import with_wrong_labels
from df_heads.benchmarks.harness.evaluate.storing import measure_and_store
from df_heads.benchmarks.harness.plan.status import status
from df_heads.benchmarks.harness.store.results import ResultFolder
from df_heads.benchmarks.harness.store.schema import EvaluationResult
from df_heads.benchmarks.harness.sweep.jobs import Job
from df_heads.benchmarks.harness.sweep.missing import DataSource, run_missing
from df_heads.benchmarks.harness.sweep.run import run
from df_heads.benchmarks.harness.tables.text import to_terminal
from df_heads.benchmarks.harness.train.trained import trained_model
from df_heads.benchmarks.harness.views.building import build_augment
from df_heads.evaluation import extract_features, linear_probe_accuracy, stratified_subset
from df_heads.integrations.training.augmented_images import evaluation_batches

MACHINE = Machine(accelerator="cpu", logger="none", progress=False)
TINY = Experiment(
    "digits",
    "transformer-small",
    learning_rate=0.05,
    backbone="test_resnet",
    image_size=16,
    epochs=1,
    batch_size=16,
)


@pytest.fixture(scope="module")
def data() -> ImageData:
    """Two classes that differ a little, so that probes are right now and then."""
    generator = np.random.default_rng(0)

    def split(count: int) -> tuple[np.ndarray, np.ndarray]:
        labels = np.arange(count, dtype=np.int64) % 2
        images = generator.integers(0, 100, (count, 3, 16, 16))
        images[labels == 1, :, :8] += 25
        return images.astype(np.uint8), labels

    train, test = split(200), split(60)
    return ImageData("digits", *train, *test, classes=("0", "1"), fingerprint="0" * 16)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory, data: ImageData) -> ResultFolder:
    folder = ResultFolder(tmp_path_factory.mktemp("results"))
    run(TINY, data, folder, MACHINE)
    return folder


def finished(results: ResultFolder, data: ImageData) -> FinishedRun:
    return FinishedRun(TINY, data, results, MACHINE)


def extract(results: ResultFolder, images: np.ndarray) -> torch.Tensor:
    backbone = trained_model(TINY, results, needed_by="the test").backbone
    return extract_features(backbone, [build_augment(TINY).normalize(torch.from_numpy(images))])


def probe(
    results: ResultFolder, data: ImageData, fraction: float = 0.1, test: np.ndarray | None = None
) -> float:
    return 100 * linear_probe_accuracy(
        extract(results, data.train_images),
        torch.from_numpy(data.train_labels),
        extract(results, data.test_images if test is None else test),
        torch.from_numpy(data.test_labels),
        train_fraction=fraction,
    )


def test_every_setting_is_the_probe_it_says(results: ResultFolder, data: ImageData) -> None:
    before = results.file(TINY).read_text()
    job = Job(TINY, (Robustness("inverted"),))
    assert not job.done(results)
    content = measure_and_store(Robustness("inverted"), finished(results, data))
    assert job.done(results)
    saved = Robustness("inverted").load(results, TINY)
    assert isinstance(saved, EvaluationResult)
    assert saved.metrics == content.metrics
    assert results.file(TINY).read_text() == before
    metrics = content.metrics
    result = results.load(TINY)
    assert result is not None
    assert metrics["labels_10"] == pytest.approx(result.metrics["supervised"])
    for percent in (1, 100):
        assert metrics[f"labels_{percent}"] == pytest.approx(probe(results, data, percent / 100))
    spoilt = corrupt(data.test_images, "contrast", 5)
    assert metrics["contrast_5"] == pytest.approx(probe(results, data, test=spoilt))
    turned = dataclasses.replace(
        data, train_images=255 - data.train_images, test_images=255 - data.test_images
    )
    assert metrics["transfer"] == pytest.approx(probe(results, turned))
    each = [metrics[f"{name}_{severity}"] for name in CORRUPTIONS for severity in SEVERITIES]
    assert metrics["corrupted"] == pytest.approx(np.mean(each))
    assert metrics["corrupted_3"] == pytest.approx(np.mean(each[1::3]))
    assert len(set(each)) > 3


def test_wrong_labels_are_those_of_the_samples_that_the_probe_draws(
    results: ResultFolder, data: ImageData
) -> None:
    labels = torch.from_numpy(data.train_labels)
    rows = stratified_subset(labels, 0.1, TINY.seed)
    noisy = with_wrong_labels(labels[rows], 0.4, 2, TINY.seed)
    assert (len(rows), int((noisy != labels[rows]).sum())) == (20, 8)
    expected = linear_probe_accuracy(
        extract(results, data.train_images)[rows],
        noisy,
        extract(results, data.test_images),
        torch.from_numpy(data.test_labels),
        train_fraction=1.0,
    )
    found = shifts._with_wrong_labels(shifts._Features.of(data, partial(extract, results)), 2, 0)
    assert found["noise_40"] == pytest.approx(expected)
    assert found["noise_20"] != found["noise_40"]


def test_every_set_of_images_is_seen_once(
    results: ResultFolder, data: ImageData, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bytes] = []
    batches = evaluation_batches

    def remembered(images: np.ndarray, augment: object) -> object:
        seen.append(images.tobytes())
        return batches(images, augment)  # type: ignore[arg-type]

    monkeypatch.setattr(shifts, "evaluation_batches", remembered)
    Robustness("inverted").measure(finished(results, data))
    # Train and test of both data sets, and the corrupted test sets.
    assert len(seen) == len(set(seen)) == 4 + len(CORRUPTIONS) * len(SEVERITIES)


def test_another_data_set_gives_the_labels_and_is_scored(
    results: ResultFolder, data: ImageData
) -> None:
    # The same images under other labels: what is read off the features is the other task.
    labels = (np.arange(200) // 2 % 2).astype(np.int64)
    other = dataclasses.replace(data, name="cifar10", train_labels=labels, fingerprint="1" * 16)
    source = DataSource(lambda name, _: {"digits": data, "cifar10": other}[name])
    assert run_missing([Job(TINY, (Robustness("cifar10"),))], source, results, MACHINE) == []
    content = Robustness("cifar10").load(results, TINY)
    assert isinstance(content, EvaluationResult)
    assert content.metrics["transfer"] == pytest.approx(probe(results, other))
    assert content.settings["transfer"] == {
        "name": "cifar10",
        "fingerprint": "1" * 16,
        "train": 200,
        "test": 60,
    }
    assert Robustness("stl10").load(results, TINY) is None
    copy = dataclasses.replace(other, fingerprint="2" * 16)
    source = DataSource(lambda name, _: {"digits": data, "cifar10": copy}[name])
    with pytest.raises(InputError, match="was made from other images of cifar10 .fingerprint 1111"):
        run_missing([Job(TINY, (Robustness("cifar10"),))], source, results, MACHINE)


@pytest.mark.parametrize(("wanted", "given"), [(None, 200), (50, 50), (5000, 200)])
def test_the_other_data_set_has_no_more_images(
    wanted: int | None, given: int, data: ImageData
) -> None:
    experiment = dataclasses.replace(TINY, train_images=wanted, holdout=0.25)
    assert len(shifts._as_many(experiment, data).train_labels) == given
    assert len(shifts._as_many(experiment, data).test_labels) == 60


def test_missing_weights_get_one_clear_sentence(tmp_path: Path, data: ImageData) -> None:
    with pytest.raises(InputError, match=r"last\.ckpt cannot be read .*; this evaluation needs"):
        Robustness("inverted").measure(finished(ResultFolder(tmp_path), data))


def test_the_progress_page_knows_what_is_missing(tmp_path: Path) -> None:
    folder = ResultFolder(tmp_path)
    save_made(folder, TINY)
    jobs = {"robustness": [Job(TINY, (Robustness("inverted"),))], "Table 2": [Job(TINY)]}
    for done in ("0", "1"):
        rows = [line.split("|") for line in to_terminal(status(jobs, folder)).splitlines()[2:5]]
        assert [row[2].strip() for row in rows] == [done, "1", done]
        save_made_evaluation(folder, TINY, Robustness("inverted"))

import pytest
import torch

from df_heads.benchmarks.harness.evaluate.shifts import with_wrong_labels

LABELS = torch.arange(1000) % 5


@pytest.mark.parametrize(("rate", "wrong"), [(0.0, 0), (0.2, 200), (0.4, 400), (1.0, 1000)])
def test_exactly_so_many_labels_are_wrong(rate: float, wrong: int) -> None:
    noisy = with_wrong_labels(LABELS, rate, 5, seed=0)
    assert int((noisy != LABELS).sum()) == wrong
    assert noisy.min() == 0
    assert noisy.max() == 4
    assert torch.equal(LABELS, torch.arange(1000) % 5)


def test_halves_go_up() -> None:
    few = LABELS[:5]
    assert int((with_wrong_labels(few, 0.5, 5, 0) != few).sum()) == 3


def test_every_other_class_is_equally_likely() -> None:
    labels = torch.full((8000,), 2)
    counts = torch.bincount(with_wrong_labels(labels, 1.0, 5, seed=0), minlength=5)
    assert counts[2] == 0
    # 2000 each; five standard deviations are 194.
    assert all(abs(int(counts[label]) - 2000) < 194 for label in (0, 1, 3, 4))


def test_the_seed_alone_decides_and_more_noise_holds_the_less() -> None:
    state = torch.get_rng_state()
    little, much = (with_wrong_labels(LABELS, rate, 5, seed=3) for rate in (0.2, 0.4))
    torch.rand(3)
    assert torch.equal(with_wrong_labels(LABELS, 0.2, 5, seed=3), little)
    torch.set_rng_state(state)
    assert not torch.equal(with_wrong_labels(LABELS, 0.2, 5, seed=4), little)
    wrong = little != LABELS
    assert torch.equal(much[wrong], little[wrong])


@pytest.mark.parametrize(("rate", "classes"), [(-0.1, 5), (1.1, 5), (float("nan"), 5), (0.2, 1)])
def test_impossible_noise(rate: float, classes: int) -> None:
    with pytest.raises(ValueError, match=r"(rate=.* must be from 0 to 1|leaves no other class)"):
        with_wrong_labels(LABELS, rate, classes, 0)

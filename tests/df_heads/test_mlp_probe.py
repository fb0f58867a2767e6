import math

import pytest
import torch
from torch import Tensor

from df_heads.evaluation import linear_probe_accuracy, mlp_probe_accuracy


def rings(samples: int, seed: int) -> tuple[Tensor, Tensor]:
    """Two rings around each other, which no linear classifier tells apart."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(samples) % 2
    angle = 2 * math.pi * torch.rand(samples, generator=generator)
    radius = (1 + labels) * (1 + 0.1 * torch.randn(samples, generator=generator))
    return torch.stack([radius * angle.cos(), radius * angle.sin()], 1), 7 * labels + 3


def test_hidden_layers_find_what_a_linear_one_cannot() -> None:
    sets = (*rings(400, 0), *rings(200, 1))
    assert linear_probe_accuracy(*sets, train_fraction=1.0) < 0.7
    assert mlp_probe_accuracy(*sets, train_fraction=1.0, hidden_dim=32) > 0.97


def test_one_layer_comes_near_the_linear_probe() -> None:
    generator = torch.Generator().manual_seed(0)
    centers = torch.randn(3, 10, generator=generator)
    labels = torch.arange(300) % 3
    features = centers[labels] + torch.randn(300, 10, generator=generator)
    sets = (features[:200], labels[:200], features[200:], labels[200:])
    linear = linear_probe_accuracy(*sets, train_fraction=1.0)
    deep = mlp_probe_accuracy(*sets, num_layers=1, train_fraction=1.0, learning_rate=1e-2)
    assert deep == pytest.approx(linear, abs=0.05)


def test_the_seed_decides_and_the_global_state_is_left_alone() -> None:
    sets = (*rings(60, 0), *rings(300, 1))
    options = {"train_fraction": 0.5, "hidden_dim": 8, "epochs": 3}
    before = torch.random.get_rng_state()
    first = [mlp_probe_accuracy(*sets, seed=seed, **options) for seed in range(4)]  # type: ignore[arg-type]
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.manual_seed(99)
    with torch.inference_mode():
        again = [mlp_probe_accuracy(*sets, seed=seed, **options) for seed in range(4)]  # type: ignore[arg-type]
    assert again == first
    assert len(set(first)) > 1


def test_the_scale_of_a_feature_does_not_matter() -> None:
    train, train_labels, test, test_labels = (*rings(60, 0), *rings(100, 1))
    scale, shift = torch.tensor([1000.0, 0.01]), torch.tensor([5.0, -3.0])
    accuracies = [
        mlp_probe_accuracy(x, train_labels, y, test_labels, train_fraction=1.0, epochs=10)
        for x, y in ((train, test), (train * scale + shift, test * scale + shift))
    ]
    assert accuracies[0] == pytest.approx(accuracies[1], abs=0.02)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_layers": 0}, "num_layers must be an integer of at least 1, got 0"),
        ({"hidden_dim": 0}, "hidden_dim must be an integer of at least 1, got 0"),
        ({"epochs": 1.5}, "epochs must be an integer of at least 1, got 1.5"),
        ({"batch_size": 0}, "batch_size must be an integer of at least 1, got 0"),
        ({"learning_rate": 0.0}, "learning_rate must be finite and above 0, got 0.0"),
        ({"weight_decay": -1.0}, "weight_decay must be finite and not below 0, got -1.0"),
        ({"train_fraction": 0.0}, r"fraction must lie in \(0, 1\], got 0.0"),
    ],
)
def test_bad_settings_get_one_clear_sentence(options: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        mlp_probe_accuracy(*rings(20, 0), *rings(20, 1), **options)  # type: ignore[arg-type]

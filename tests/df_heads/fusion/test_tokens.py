from collections.abc import Callable

import pytest
import torch
from sklearn.metrics import silhouette_score
from torch import Tensor

from df_heads.fusion import neighbor_purity, silhouette


def clusters(spread: float) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 4, (60,), generator=generator) * 3 - 2
    centres = torch.randn(4, 5, generator=generator)
    noise = torch.randn(60, 5, generator=generator)
    # Far from the origin, where distances by inner products lose digits.
    return centres[(labels + 2) // 3] + spread * noise + 100, labels


@pytest.mark.parametrize("spread", [0.1, 1.0, 10.0])
def test_silhouette_equals_sklearn(spread: float) -> None:
    tokens, labels = clusters(spread)
    expected = silhouette_score(tokens.double().numpy(), labels.numpy())
    assert silhouette(tokens, labels) == pytest.approx(expected, abs=1e-9)


def test_silhouette_of_coinciding_points() -> None:
    labels = torch.tensor([0, 0, 1, 1])
    assert silhouette(torch.ones(4, 2), labels) == 0
    assert silhouette(torch.tensor([[0.0], [0.0], [1.0], [1.0]]), labels) == 1


def test_neighbor_purity_equals_the_naive_loop() -> None:
    tokens, labels = clusters(0.7)
    right = 0
    for i in range(len(tokens)):
        distances = (tokens - tokens[i]).norm(dim=1)
        distances[i] = torch.inf
        right += int(labels[distances.argmin()] == labels[i])
    assert 0 < right < len(tokens)
    assert neighbor_purity(tokens, labels) == pytest.approx(right / len(tokens))


@pytest.mark.parametrize("measure", [silhouette, neighbor_purity])
@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (torch.zeros(4, dtype=torch.long), "labels holds 1 class.* at least 2"),
        (torch.tensor([0, 0, 0, 1]), r"class 1 has 1 sample\(s\) .* at least 2"),
        (torch.tensor([0, 0, 1]), "token_labels has 3 entries but token_features has 4"),
    ],
)
def test_bad_labels_get_one_clear_sentence(
    measure: Callable[..., object], labels: Tensor, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        measure(torch.randn(4, 3), labels)

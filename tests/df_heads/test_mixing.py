from typing import Any

import pytest
import torch
from torch import nn

from df_heads.mixing import BatchMixing


def test_features_come_as_they_are_and_mixed() -> None:
    torch.manual_seed(0)
    mixing = BatchMixing(8, dropout=0.0)
    x, labels = torch.randn(6, 8), torch.arange(6)
    features, twice = mixing(x, labels)
    assert torch.equal(features[:6], x)
    assert torch.equal(twice, torch.cat([labels, labels]))
    other = x.clone()
    other[0] += 1
    moved = (mixing(other) - features).abs().amax(dim=1) > 1e-6
    # As it is only the first sample moves; mixed, all of them see it.
    assert moved.tolist() == [True, *[False] * 5, *[True] * 6]


def test_evaluation_hands_on_what_it_is_given() -> None:
    mixing = BatchMixing(8).eval()
    x, labels = torch.randn(6, 8), torch.arange(6)
    assert mixing(x) is x
    assert mixing(x, labels) == (x, labels)
    assert mixing(x[:1]).shape == (1, 8)


def test_sequences_do_not_see_each_other() -> None:
    mixing = BatchMixing(8, dropout=0.0)
    x = torch.randn(3, 6, 8)
    whole = mixing(x)
    assert whole.shape == (3, 12, 8)
    torch.testing.assert_close(whole, torch.stack([mixing(each) for each in x]))


def test_tokens_are_mixed_position_by_position() -> None:
    mixing = BatchMixing(8, dropout=0.0)
    tokens = torch.randn(5, 7, 8)  # (N, L, D)
    both = mixing(tokens.transpose(0, 1)).transpose(0, 1)
    assert both.shape == (10, 7, 8)
    assert torch.equal(both[:5], tokens)
    torch.testing.assert_close(both[:, 2], mixing(tokens[:, 2]))


def test_a_classifier_trains_on_both_streams() -> None:
    torch.manual_seed(0)
    model = nn.ModuleList([BatchMixing(8, dropout=0.0), nn.Linear(8, 2)])
    x = torch.randn(32, 8)
    labels = (x[:, 0] > 0).long()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.03)
    for _ in range(60):
        features, both = model[0](x, labels)
        loss = nn.functional.cross_entropy(model[1](features), both)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.eval()
    assert (model[1](model[0](x)).argmax(dim=1) == labels).float().mean() > 0.9


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dim": 10}, "dim=10 must be a multiple of num_heads=4"),
        ({"dim": 0}, "dim=0"),
        ({"dim": 8, "dropout": float("nan")}, "dropout=nan"),
    ],
    ids=["heads", "zero", "nan"],
)
def test_bad_arguments(options: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        BatchMixing(**options)


def test_bad_features_and_labels() -> None:
    mixing = BatchMixing(8)
    with pytest.raises(ValueError, match=r"\(3, 9\)"):
        mixing(torch.randn(3, 9))
    with pytest.raises(ValueError, match=r"3 labels for 7 samples.*transpose"):
        mixing(torch.randn(3, 7, 8), torch.arange(3))

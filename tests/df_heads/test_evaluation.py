import copy
import math
import re
from typing import Any

import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn

from df_heads.evaluation import (
    extract_features,
    fit_softmax_regression,
    knn_accuracy,
    linear_probe_accuracies,
    linear_probe_accuracy,
    nearest_neighbor_accuracy,
    nearest_neighbors,
    stratified_subset,
)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def clusters(
    samples: int, width: int, classes: int, *, spread: float = 1.0, seed: int = 0
) -> tuple[Tensor, Tensor]:
    """Overlapping Gaussian clusters, float32, with labels that are not 0 to K - 1."""
    g = generator(seed)
    labels = torch.randint(classes, (samples,), generator=g)
    centers = torch.randn(classes, width, generator=generator(99))
    features = centers[labels] + spread * torch.randn(samples, width, generator=g)
    return features, labels * 3 + 2


def digits() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    images, labels = load_digits(return_X_y=True)
    order = torch.randperm(len(labels), generator=generator())
    x, y = torch.from_numpy(images)[order].float(), torch.from_numpy(labels)[order].long()
    return x[:1300], y[:1300], x[1300:], y[1300:]


# ---------------------------------------------------------------- nearest neighbour


def naive_nearest_neighbor(features: Tensor, labels: Tensor) -> float:
    correct = 0
    for i in range(len(features)):
        distances = [
            math.inf if i == j else float((features[i].double() - row.double()).square().sum())
            for j, row in enumerate(features)
        ]
        correct += int(labels[i] == labels[distances.index(min(distances))])
    return correct / len(features)


def sklearn_nearest_neighbor(features: Tensor, labels: Tensor) -> float:
    x = features.double().numpy()
    # The ball tree takes direct differences; brute force would expand the square.
    search = NearestNeighbors(n_neighbors=2, algorithm="ball_tree").fit(x)
    found = search.kneighbors(x)[1]
    assert (found[:, 0] == range(len(x))).all()
    return float((labels[torch.from_numpy(found[:, 1])] == labels).double().mean())


def test_nearest_neighbor_equals_naive_loop() -> None:
    features, labels = clusters(90, 5, 4, spread=1.5)
    expected = naive_nearest_neighbor(features, labels)
    assert 0.3 < expected < 0.95
    result = nearest_neighbor_accuracy(features, labels)
    assert isinstance(result, float)
    assert result == expected


@pytest.mark.parametrize("offset", [0.0, 1e3])
def test_nearest_neighbor_equals_sklearn_whatever_the_offset(offset: float) -> None:
    features, labels = clusters(1500, 24, 20, spread=1.5)
    features = features + offset
    expected = sklearn_nearest_neighbor(features, labels)
    assert 0.2 < expected < 0.95
    assert nearest_neighbor_accuracy(features, labels) == expected


def test_nearest_neighbor_resolves_tight_pairs_in_clusters_far_apart() -> None:
    # Centring cannot help here: distances inside a cluster are 1e-6 of those to the mean.
    features, labels = clusters(1000, 6, 20, spread=1.0)
    features = (features * 2**10).round().double() / 2**10
    features[::2] += 3e6
    expected = sklearn_nearest_neighbor(features, labels)
    assert 0.3 < expected < 0.95
    assert nearest_neighbor_accuracy(features, labels) == expected


def test_nearest_neighbor_survives_an_offset_that_swamps_float64_squares() -> None:
    features, labels = clusters(400, 6, 5, spread=1.0)
    features = (features * 2**10).round().double() / 2**10
    expected = nearest_neighbor_accuracy(features, labels)
    assert nearest_neighbor_accuracy(features + 2.0**30, labels) == expected


def test_nearest_neighbor_is_invariant_to_chunks_order_and_scale() -> None:
    features, labels = clusters(301, 8, 6, spread=1.5)
    expected = nearest_neighbor_accuracy(features, labels)
    for chunk_size in (1, 7, 300, 301, 10_000):
        assert nearest_neighbor_accuracy(features, labels, chunk_size=chunk_size) == expected
    order = torch.randperm(301, generator=generator(5))
    assert nearest_neighbor_accuracy(features[order], labels[order]) == expected
    assert nearest_neighbor_accuracy(features * 2.0**20, labels) == expected


def test_a_copy_counts_as_neighbor_but_the_sample_itself_does_not() -> None:
    features = torch.tensor([[0.0], [0.0], [5.0], [5.0]])
    assert nearest_neighbor_accuracy(features, torch.tensor([0, 0, 1, 1])) == 1.0
    assert nearest_neighbor_accuracy(features, torch.tensor([0, 1, 0, 1])) == 0.0
    assert nearest_neighbor_accuracy(features, torch.tensor([0, 0, 0, 1])) == 0.5
    assert nearest_neighbor_accuracy(torch.tensor([[1.0], [9.0]]), torch.tensor([4, 7])) == 0.0


def test_nearest_neighbor_ties_go_to_the_lowest_index() -> None:
    features = torch.tensor([[1.0], [-1.0], [0.0]])
    # 0 and 1 choose 2; 2 is as far from 0 as from 1.
    assert nearest_neighbor_accuracy(features, torch.tensor([7, 3, 7])) == pytest.approx(2 / 3)
    assert nearest_neighbor_accuracy(features, torch.tensor([3, 7, 7])) == pytest.approx(1 / 3)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_metrics_upcast_every_float_dtype(dtype: torch.dtype) -> None:
    features, labels = clusters(240, 16, 4, spread=2.0)
    low = (features + 30).to(dtype)
    assert nearest_neighbor_accuracy(low, labels) == sklearn_nearest_neighbor(low, labels)
    high = low.double()
    for metric in (knn_accuracy, linear_probe_accuracy):
        low_result = metric(low[:160], labels[:160], low[160:], labels[160:])
        assert low_result == metric(high[:160], labels[:160], high[160:], labels[160:])


def test_metrics_accept_small_label_dtypes_gradients_and_autocast() -> None:
    features, labels = clusters(240, 16, 4, spread=2.0)
    split = (features[:160], labels[:160], features[160:], labels[160:])
    expected = nearest_neighbor_accuracy(features, labels)
    with torch.autocast("cpu", torch.bfloat16):
        low = nearest_neighbor_accuracy(features.clone().requires_grad_(), labels.to(torch.uint8))
        probe = linear_probe_accuracy(*split)
        weight, bias = fit_softmax_regression(features, (labels - 2) // 3, l2=1e-2)
    assert low == expected
    assert probe == linear_probe_accuracy(*split)
    exact = fit_softmax_regression(features.double(), (labels - 2) // 3, l2=1e-2)
    assert torch.equal(weight, exact[0])
    assert torch.equal(bias, exact[1])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_metrics_work_in_inference_mode_as_in_lightning_validation(dtype: torch.dtype) -> None:
    features, labels = clusters(240, 16, 4, spread=2.0)
    expected = linear_probe_accuracy(features[:160], labels[:160], features[160:], labels[160:])
    targets = (labels - 2) // 3
    weight, _ = fit_softmax_regression(features.to(dtype), targets, l2=1e-2)
    with torch.inference_mode():
        x, y = features.to(dtype) * 1, labels * 1
        assert x.is_inference()
        assert linear_probe_accuracy(x[:160], y[:160], x[160:], y[160:]) == expected
        assert torch.equal(fit_softmax_regression(x, targets * 1, l2=1e-2)[0], weight)
        nearest_neighbor_accuracy(x, y)
        knn_accuracy(x, y, x, y, temperature=0.1)


# ---------------------------------------------------------------- k nearest neighbours


def test_knn_majority_equals_sklearn() -> None:
    train, train_labels = clusters(700, 12, 10, spread=1.6)
    test, test_labels = clusters(300, 12, 10, spread=1.6, seed=1)
    for k in (1, 2, 10, 700):
        judge = KNeighborsClassifier(k, metric="cosine", algorithm="brute")
        judge.fit(train.double().numpy(), train_labels.numpy())
        expected = judge.score(test.double().numpy(), test_labels.numpy())
        result = knn_accuracy(train, train_labels, test, test_labels, k=k)
        assert result == pytest.approx(expected, abs=1e-12), k
    assert knn_accuracy(train, train_labels, test, test_labels) == knn_accuracy(
        train, train_labels, test, test_labels, k=10
    )


@pytest.mark.parametrize("temperature", [0.1, 1e-4])
def test_knn_weighted_equals_naive_loop(temperature: float) -> None:
    train, train_labels = clusters(120, 6, 5, spread=1.5)
    test, test_labels = clusters(80, 6, 5, spread=1.5, seed=1)
    correct = 0
    for query, label in zip(test.double(), test_labels.tolist(), strict=True):
        similarity = torch.cosine_similarity(query[None], train.double())
        votes: dict[int, float] = {}
        for j in similarity.argsort(descending=True)[:50].tolist():
            weight = math.exp(float(similarity[j] - similarity.max()) / temperature)
            votes[int(train_labels[j])] = votes.get(int(train_labels[j]), 0.0) + weight
        correct += max(votes, key=lambda c: votes[c]) == label
    for chunk_size in (1, 33, 1000):
        result = knn_accuracy(
            train,
            train_labels,
            test,
            test_labels,
            k=50,
            temperature=temperature,
            chunk_size=chunk_size,
        )
        assert result == correct / 80
    assert correct / 80 != knn_accuracy(train, train_labels, test, test_labels, k=50)


def test_knn_vote_and_ties_by_hand() -> None:
    train = torch.tensor([[1.0, 0.0], [1.0, 0.3], [1.0, 0.4], [0.0, 1.0]])
    query = torch.tensor([[100.0, 0.0]])
    labels = torch.tensor([5, 2, 2, 9])
    two, five = torch.tensor([2]), torch.tensor([5])
    assert knn_accuracy(train, labels, query, five, k=1) == 1.0
    assert knn_accuracy(train, labels, query, two, k=2) == 1.0  # one vote each: lowest label
    assert knn_accuracy(train, labels, query, two, k=3) == 1.0
    assert knn_accuracy(train, labels, query, five, k=3, temperature=0.01) == 1.0
    assert knn_accuracy(train, labels, query, torch.tensor([77]), k=3) == 0.0


# ---------------------------------------------------------------- linear probe


@pytest.mark.parametrize(("classes", "factor"), [(7, 1.0), (2, 2.0)])
def test_fit_equals_sklearn_logistic_regression(classes: int, factor: float) -> None:
    features, labels = clusters(400, 10, classes, spread=2.0)
    features = features.double() * torch.logspace(-1, 1, 10)
    targets = (labels - 2) // 3
    weight, bias = fit_softmax_regression(features, targets, l2=1e-2)
    judge = LogisticRegression(C=factor / (400 * 1e-2), tol=1e-10, max_iter=20_000)
    judge.fit(features.numpy(), targets.numpy())
    coefficients = torch.from_numpy(judge.coef_)
    if classes == 2:  # scikit-learn keeps one logit, the difference of the two
        weight, bias = weight[1:] - weight[:1], bias[1:] - bias[:1]
        intercept = torch.from_numpy(judge.intercept_)
    else:  # the bias is unique up to a constant
        bias = bias - bias.mean()
        intercept = torch.from_numpy(judge.intercept_ - judge.intercept_.mean())
    assert (weight - coefficients).norm() < 1e-3 * coefficients.norm()
    torch.testing.assert_close(bias, intercept, rtol=1e-3, atol=1e-3)
    ours = (features @ weight.T + bias).numpy()
    same = (
        (ours[:, 0] > 0) == judge.predict(features.numpy())
        if classes == 2
        else (ours.argmax(1) == judge.predict(features.numpy()))
    )
    assert same.mean() >= 0.999


@pytest.mark.parametrize("fraction", [0.1, 1.0])
def test_probe_equals_sklearn_pipeline_on_digits(fraction: float) -> None:
    train, train_labels, test, test_labels = digits()
    drawn = stratified_subset(train_labels, fraction, 3)
    scaler = StandardScaler().fit(train[drawn].double().numpy())
    judge = LogisticRegression(C=1 / (len(drawn) * 1e-2), tol=1e-8, max_iter=5000)
    judge.fit(scaler.transform(train[drawn].double().numpy()), train_labels[drawn].numpy())
    expected = judge.score(scaler.transform(test.double().numpy()), test_labels.numpy())
    result = linear_probe_accuracy(
        train, train_labels, test, test_labels, train_fraction=fraction, seed=3, l2=1e-2
    )
    assert result == pytest.approx(expected, abs=1e-3)
    assert 0.8 < result < 1.0


def test_probe_default_does_not_overfit_wide_random_features() -> None:
    train, train_labels, test, test_labels = digits()
    mixing = torch.randn(64, 512, generator=generator()) / 8
    mean = train.mean(0)
    wide = [torch.relu((x - mean) @ mixing) for x in (train, test)]
    result = linear_probe_accuracy(wide[0], train_labels, wide[1], test_labels)
    assert result > linear_probe_accuracy(train, train_labels, test, test_labels)
    assert result > 0.9


def test_probe_is_invariant_to_affine_features_and_ignores_constant_columns() -> None:
    train, train_labels = clusters(600, 10, 6, spread=1.5)
    test, test_labels = clusters(300, 10, 6, spread=1.5, seed=1)
    expected = linear_probe_accuracy(train, train_labels, test, test_labels)
    assert 0.5 < expected < 0.99
    scale, shift = torch.logspace(-3, 3, 10).double(), 100 * torch.arange(10)
    moved = [x.double() * scale + shift for x in (train, test)]
    assert linear_probe_accuracy(moved[0], train_labels, moved[1], test_labels) == expected
    constants = torch.rand(40, generator=generator(), dtype=torch.float64)
    wide_train = torch.cat([train.double(), constants.expand(600, 40)], dim=1)
    wide_test = torch.cat([test.double(), torch.full((300, 40), 1e9).double()], dim=1)
    assert linear_probe_accuracy(wide_train, train_labels, wide_test, test_labels) == expected


def test_probe_depends_on_its_seed_only() -> None:
    train, train_labels = clusters(600, 10, 6, spread=3.0)
    test, test_labels = clusters(500, 10, 6, spread=3.0, seed=1)
    torch.manual_seed(1)
    state = torch.get_rng_state()
    results = []
    for seed in (0, 1, 2, 3, 0):
        results.append(linear_probe_accuracy(train, train_labels, test, test_labels, seed=seed))
        torch.rand(3)
    torch.manual_seed(1)
    assert torch.equal(torch.get_rng_state(), state)
    assert results[0] == results[4]
    assert len(set(results[:4])) > 1
    whole = {
        linear_probe_accuracy(train, train_labels, test, test_labels, seed=seed, train_fraction=1.0)
        for seed in (0, 1)
    }
    assert len(whole) == 1


def test_probe_counts_unseen_test_labels_as_errors() -> None:
    train, train_labels = clusters(300, 10, 3, spread=0.1)
    test, test_labels = clusters(100, 10, 3, spread=0.1, seed=1)
    split = (train, train_labels, test, test_labels)
    assert linear_probe_accuracy(*split) == 1.0
    test_labels[:25] = 1000
    assert linear_probe_accuracy(*split) == 0.75
    assert knn_accuracy(*split) == 0.75


def test_probe_warns_when_it_did_not_converge() -> None:
    train, train_labels = clusters(300, 10, 3)
    with pytest.warns(RuntimeWarning, match=r"max_iterations=2 .* raise max_iterations or l2"):
        linear_probe_accuracy(train, train_labels, train, train_labels, max_iterations=2)


def test_one_probe_on_several_test_sets_is_that_probe_on_each() -> None:
    train, train_labels = clusters(300, 10, 6, spread=1.5)
    tests = [clusters(count, 10, 6, spread=1.5, seed=count) for count in (100, 150)]
    settings = {"train_fraction": 0.5, "seed": 3, "l2": 1e-2}
    each = [linear_probe_accuracy(train, train_labels, *test, **settings) for test in tests]  # type: ignore[arg-type]
    together = linear_probe_accuracies(train, train_labels, iter(tests), **settings)  # type: ignore[arg-type]
    assert together == each
    assert each[0] != each[1]
    with pytest.raises(ValueError, match="test_sets holds 0 test sets"):
        linear_probe_accuracies(train, train_labels, [])
    with pytest.raises(ValueError, match="width 9"):
        linear_probe_accuracies(train, train_labels, [tests[0], (tests[1][0][:, :9], tests[1][1])])


# ---------------------------------------------------------------- stratified subset


def test_stratified_subset_draws_each_class_by_its_share() -> None:
    counts = {4: 100, -1: 35, 9: 1, 2: 14}
    labels = torch.cat([torch.full((n,), label) for label, n in counts.items()])
    labels = labels[torch.randperm(150, generator=generator())]
    drawn = stratified_subset(labels, 0.1, 0)
    assert drawn.dtype == torch.int64
    assert (drawn.diff() > 0).all()
    values, found = torch.unique(labels[drawn], return_counts=True)
    expected = {-1: 4, 2: 1, 4: 10, 9: 1}
    assert dict(zip(values.tolist(), found.tolist(), strict=True)) == expected


def test_stratified_subset_is_seeded_nested_and_uniform() -> None:
    labels = torch.arange(40) % 4
    assert torch.equal(stratified_subset(labels, 0.3, 1), stratified_subset(labels, 0.3, 1))
    assert not torch.equal(stratified_subset(labels, 0.3, 1), stratified_subset(labels, 0.3, 2))
    small, large = (set(stratified_subset(labels, f, 1).tolist()) for f in (0.2, 0.5))
    assert small < large
    assert torch.equal(stratified_subset(labels, 1.0, 1), torch.arange(40))
    drawn = torch.stack([stratified_subset(labels, 0.2, seed) for seed in range(500)])
    # 100 draws expected for each of the 40 samples, deviation about 9.
    times = drawn.flatten().bincount(minlength=40)
    assert times.min() > 55
    assert times.max() < 145


# ---------------------------------------------------------------- feature extraction


class Backbone(nn.Module):
    """BatchNorm that moves in training, dropout, mixed flags and an overridden train()."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 3)
        self.norm = nn.BatchNorm2d(6)
        self.frozen = nn.BatchNorm2d(6)
        self.dropout = nn.Dropout(0.5)
        self.train()

    def train(self, mode: bool = True) -> "Backbone":
        super().train(mode)
        self.conv.train(True)
        self.frozen.eval()
        return self

    def forward(self, x: Tensor) -> Tensor:
        x = self.dropout(self.frozen(self.norm(self.conv(x))))
        return x.mean((2, 3), keepdim=True)


def flags(module: nn.Module) -> dict[str, bool]:
    return {name: child.training for name, child in module.named_modules()}


def test_extract_features_leaves_the_backbone_bitwise_unchanged() -> None:
    torch.manual_seed(0)
    backbone = Backbone()
    images = torch.randn(10, 3, 8, 8) + 2
    backbone(images)  # running statistics off their initial values
    before, before_flags = copy.deepcopy(backbone.state_dict()), flags(backbone)
    assert set(before_flags.values()) == {True, False}
    features = extract_features(backbone, [images[:4], (images[4:8], None), [images[8:]]])
    assert features.shape == (10, 6)
    assert not features.requires_grad
    assert not features.is_inference()
    after = backbone.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[name], before[name]) for name in before)
    assert flags(backbone) == before_flags
    assert all(parameter.requires_grad for parameter in backbone.parameters())
    assert all(parameter.grad is None for parameter in backbone.parameters())
    backbone.eval()
    torch.testing.assert_close(features, backbone(images).flatten(1).detach())


def test_extract_features_restores_flags_after_an_error() -> None:
    backbone = Backbone()
    backbone.dropout.eval()
    before = flags(backbone)

    def batches() -> Any:
        yield torch.randn(4, 3, 8, 8)
        assert not backbone.norm.training
        raise OSError("disk")

    with pytest.raises(OSError, match="disk"):
        extract_features(backbone, batches())
    assert flags(backbone) == before


def test_probe_on_extracted_features_leaves_the_backbone_alone() -> None:
    torch.manual_seed(0)
    backbone = Backbone()
    images, labels = torch.randn(60, 3, 8, 8), torch.arange(60) % 3
    before = copy.deepcopy(backbone.state_dict())
    features = extract_features(backbone, torch.split(images, 20))
    linear_probe_accuracy(features, labels, features, labels, train_fraction=0.5)
    knn_accuracy(features, labels, features, labels)
    nearest_neighbor_accuracy(features, labels)
    assert all(torch.equal(value, before[name]) for name, value in backbone.state_dict().items())
    assert all(parameter.grad is None for parameter in backbone.parameters())


def test_extract_features_keeps_dtype_and_collects_on_the_device_asked_for() -> None:
    with torch.autocast("cpu", torch.bfloat16):
        features = extract_features(nn.Linear(4, 2), [torch.randn(3, 4)])
    assert features.dtype == torch.bfloat16
    features = extract_features(nn.Flatten(), [torch.randn(3, 4, 1, 1)], device="meta")
    assert features.device.type == "meta"
    assert features.shape == (3, 4)


@pytest.mark.parametrize(
    ("backbone", "batches", "error", "message"),
    [
        (nn.Identity(), [], ValueError, "0 batches"),
        (nn.Identity(), [torch.randn(2, 3, 4, 4)], ValueError, r"\(2, 3, 4, 4\).* pool"),
        (nn.Identity(), [torch.randn(2)], ValueError, r"shape \(2,\)"),
        (nn.Identity(), [([torch.randn(2, 3)], 0)], TypeError, "got list; pick the images"),
        (nn.Identity(), [{"image": 0}], TypeError, "got dict"),
        (nn.LSTM(3, 3), [torch.randn(2, 3)], TypeError, "returned tuple.* wrap it"),
    ],
)
def test_extract_features_errors(
    backbone: nn.Module, batches: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        extract_features(backbone, batches)


# ---------------------------------------------------------------- bad input

X, Y = torch.randn(12, 4, generator=generator()), torch.arange(12) % 3
BAD = X.clone()
BAD[3, :2], BAD[5, 1] = math.nan, -math.inf


@pytest.mark.parametrize(
    ("features", "labels", "message"),
    [
        (X[0], Y, r"shape \(N, D\).*\(4,\).*flatten"),
        (X[None], Y, r"\(1, 12, 4\)"),
        (X[:, :0], Y, r"\(12, 0\)"),
        (X.long(), Y, r"int64.*\.float\(\)"),
        (X, Y[:9], "9 entries .* 12 samples"),
        (X, Y[:, None], r"labels must have shape \(N,\), got \(12, 1\)"),
        (X, Y.float(), r"integers, got torch.float32.*\.long\(\)"),
        (X, Y == 0, "got torch.bool"),
        (BAD, Y, "3 values that are not finite, in 2 of 12 samples"),
    ],
)
def test_every_metric_rejects_bad_sets(features: Tensor, labels: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        nearest_neighbor_accuracy(features, labels)
    for metric in (knn_accuracy, linear_probe_accuracy):
        with pytest.raises(ValueError, match="train_.*" + message):
            metric(features, labels, X, Y)
        with pytest.raises(ValueError, match="test_.*" + message):
            metric(X, Y, features, labels)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: nearest_neighbor_accuracy(X[:1], Y[:1]), r"1 sample\(s\) .* at least 2"),
        (lambda: nearest_neighbor_accuracy(X, Y, chunk_size=0), "chunk_size .* got 0"),
        (lambda: knn_accuracy(X, Y, X, Y, k=13), "k=13 .* only 12 samples; lower k"),
        (lambda: knn_accuracy(X, Y, X, Y, k=0), "k must .* got 0"),
        (lambda: knn_accuracy(X, Y, X, Y, k=True), "k must .* got True"),
        (lambda: knn_accuracy(X, Y, X, Y, temperature=0.0), "temperature .* got 0.0"),
        (lambda: knn_accuracy(X, Y, X, Y, temperature=math.nan), "temperature .* got nan"),
        (lambda: knn_accuracy(X, Y, X[:, :3], Y), "width 3 .* width 4"),
        (lambda: knn_accuracy(X, Y, X[:0], Y[:0]), r"0 sample\(s\) .* at least 1"),
        (lambda: linear_probe_accuracy(X, Y, X[:, :3], Y), "width 3 .* width 4"),
        (lambda: linear_probe_accuracy(X[:1], Y[:1], X, Y), "train_features has 1 sample"),
        (lambda: linear_probe_accuracy(X, Y * 0 + 8, X, Y), "only class 8 .* at least 2"),
        (lambda: linear_probe_accuracy(X, Y, X, Y, train_fraction=0.0), r"\(0, 1\], got 0.0"),
        (lambda: linear_probe_accuracy(X, Y, X, Y, train_fraction=10), r"\(0, 1\], got 10"),
        (lambda: linear_probe_accuracy(X, Y, X, Y, l2=0.0), "l2 .* got 0.0"),
        (lambda: linear_probe_accuracy(X, Y, X, Y, max_iterations=0), "max_iterations .* got 0"),
        (lambda: stratified_subset(Y, math.nan, 0), r"\(0, 1\], got nan"),
        (lambda: stratified_subset(Y[:0], 0.5, 0), "0 entries"),
        (lambda: stratified_subset(Y.float(), 0.5, 0), "integers"),
    ],
)
def test_settings_out_of_range(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        call()
    # One sentence: it ends in its only full stop (numbers and calls aside).
    assert re.fullmatch(r"[^\n]*[^.\n]\.", str(caught.value))
    assert ". " not in str(caught.value)


def test_arrays_that_are_not_tensors_are_named() -> None:
    with pytest.raises(TypeError, match=r"features .* ndarray; .* torch.as_tensor"):
        nearest_neighbor_accuracy(X.numpy(), Y)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"test_labels .* list"):
        knn_accuracy(X, Y, X, Y.tolist())  # type: ignore[arg-type]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_agrees_with_cpu() -> None:
    features, labels = clusters(900, 24, 20, spread=1.5)
    split = (features[:600], labels[:600], features[600:], labels[600:])
    moved = [tensor.cuda() for tensor in split]
    assert nearest_neighbor_accuracy(features.cuda(), labels) == nearest_neighbor_accuracy(
        features, labels
    )
    for metric in (knn_accuracy, linear_probe_accuracy):
        assert metric(*moved) == metric(*split)
        assert metric(moved[0], split[1], split[2], moved[3]) == metric(*split)
    assert torch.equal(stratified_subset(labels.cuda(), 0.3).cpu(), stratified_subset(labels, 0.3))


def test_nearest_neighbors_are_those_of_scikit_learn() -> None:
    x, _ = clusters(60, 7, 3)
    found = nearest_neighbors(x, 4, chunk_size=13)
    reference = NearestNeighbors(n_neighbors=5, metric="cosine").fit(x.double().numpy())
    distances, indices = reference.kneighbors(x.double().numpy())
    assert found.indices.tolist() == indices[:, 1:].tolist()
    expected = torch.as_tensor(1 - distances[:, 1:])
    torch.testing.assert_close(found.similarities, expected, atol=1e-12, rtol=0)
    twice = nearest_neighbors(torch.cat([x, x]), 1)
    assert twice.indices.squeeze(1).tolist() == [*range(60, 120), *range(60)]


@pytest.mark.parametrize(
    ("x", "k", "message"),
    [
        (
            torch.randn(5, 2),
            5,
            "k=5 neighbours were asked for but each of the 5 samples has only 4",
        ),
        (torch.randn(5, 2), 0, "k must be an integer of at least 1, got 0"),
        (torch.randn(1, 2), 1, r"features has 1 sample\(s\) but this metric needs at least 2"),
        (torch.full((5, 2), torch.nan), 1, "features holds 10 values that are not finite"),
        (torch.randn(5), 1, r"features must have shape \(N, D\)"),
    ],
)
def test_nearest_neighbors_refuse_with_one_sentence(x: Tensor, k: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        nearest_neighbors(x, k)

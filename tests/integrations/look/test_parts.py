import math
import sys
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from sklearn.decomposition import PCA
from torch import Tensor
from torch.nn import functional as F

from df_heads.integrations.look import plane
from df_heads.integrations.look.charts import Chart, Line, level, svg
from df_heads.integrations.look.clusters import cluster
from df_heads.integrations.look.curve import collapsed_loss


def test_without_umap_the_plane_is_that_of_pca() -> None:
    x = torch.randn(30, 6, generator=torch.Generator().manual_seed(0))
    places, said = plane.in_the_plane(x)
    unit = F.normalize(x.double(), dim=1).numpy()
    model = PCA(2).fit(unit)
    theirs = torch.as_tensor(model.transform(unit))
    for ours, their in zip(places.T, theirs.T, strict=True):
        assert abs(float(torch.corrcoef(torch.stack([ours, their]))[0, 1])) == pytest.approx(1)
    assert f"{model.explained_variance_ratio_.sum():.0%} of it" in said
    assert (float(places.min()), float(places.max())) == (0, 1)
    assert plane.in_the_plane(torch.ones(5, 3))[0].isfinite().all()


def test_where_umap_is_installed_it_places_them(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}

    class Umap:
        def __init__(self, **options: Any) -> None:
            asked.update(options)

        def fit_transform(self, x: Any) -> Any:
            return x[:, :2]

    monkeypatch.setitem(sys.modules, "umap", SimpleNamespace(UMAP=Umap))
    monkeypatch.setattr(plane, "find_spec", lambda name: name == "umap")
    _, said = plane.in_the_plane(torch.randn(20, 5))
    assert said.startswith("by UMAP (cosine distance, fixed seed)")
    assert asked == {"n_neighbors": 15, "metric": "cosine", "random_state": 0}
    assert plane.in_the_plane(torch.randn(9, 5))[1].startswith("by PCA")


def test_clusters_are_the_directions_that_pictures_share() -> None:
    generator = torch.Generator().manual_seed(0)
    truth = torch.tensor([0] * 30 + [1] * 20 + [2] * 10)
    x = 5 * torch.eye(3, 8)[truth] + torch.randn(60, 8, generator=generator)
    scaled = x * torch.rand(60, 1, generator=generator).add(0.1)  # lengths do not count
    found = cluster(scaled, 3)
    assert torch.equal(found, truth)  # the largest first
    assert len(torch.unique(cluster(x[:2], 8))) == 2
    assert cluster(torch.ones(4, 3), 2).unique().tolist() == [0]


@pytest.mark.parametrize(
    ("xs", "ticks"),
    [
        ([1], [1]),
        ([1, 2, 3, 4, 5], [1, 2, 3, 4, 5]),
        (range(1, 16), [1, 5, 10, 15]),
        (range(1, 151), [1, 50, 100, 150]),
        (range(1, 1001), [1, 200, 400, 600, 800, 1000]),
    ],
)
def test_charts_have_round_ticks(xs: Any, ticks: list[int]) -> None:
    chart = Chart("a", "A title", "x", "y", list(xs), [Line("y", [0.5 * x for x in xs])])
    assert chart.x_ticks == ticks
    assert 2 <= len(chart.y_ticks) <= 8
    assert all(chart.range[0] <= tick <= chart.range[1] for tick in chart.y_ticks)


def test_a_chart_has_gaps_where_there_is_no_number() -> None:
    xs = [1, 2, 3, 4]
    line = Line("a", [1.0, None, float("nan"), 2.0])
    chart = Chart("a", "<title>", "x", "y", xs, [line, level("b", 0.0, xs)], from_zero=True)
    assert [len(run) for run in chart.runs(line)] == [1, 1]
    assert chart.range == pytest.approx((0.0, 2.24))
    assert 'aria-label="&lt;title&gt;"' in svg(chart)
    flat = Chart("a", "b", "x", "y", xs, [Line("a", [0.0] * 4)], from_zero=True)
    assert flat.range == (0.0, 1.0)


def test_the_loss_of_a_collapse() -> None:
    """Against the losses themselves, of projections that are all equal."""
    from df_heads.integrations.moco import info_nce
    from df_heads.nt_xent import ChunkedNTXentLoss

    z: Tensor = torch.ones(8, 4)
    value, why = collapsed_loss("simclr", {}, {"batch_size": 8})
    assert value == pytest.approx(float(ChunkedNTXentLoss(0.2)(z, z)), rel=1e-5)
    assert "N = 8" in why
    value, _ = collapsed_loss("moco", {"queue_size": 12}, {})
    keys = F.normalize(torch.ones(12, 4), dim=1)
    assert value == pytest.approx(float(info_nce(z, z, keys, 0.2)), rel=1e-5)
    assert collapsed_loss("supcon", {}, {"batch_size": 8})[0] == pytest.approx(math.log(15))
    assert collapsed_loss("nnclr", {}, {"batch_size": 8})[0] == pytest.approx(math.log(8))
    assert collapsed_loss("vicreg", {}, {})[0] == pytest.approx(24.75)
    for method in ("byol", "of the future"):
        assert collapsed_loss(method, {}, {"batch_size": 8}) == (None, "")

import pytest

from df_heads.benchmarks.harness.base.paper import TABLE2, TABLE3, TABLE4, TABLE5, TABLE6


def test_the_paper_claims_what_its_text_says() -> None:
    gains = [
        TABLE2[d, "transformer", s].unsupervised - TABLE2[d, "feedforward", s].unsupervised
        for d in ("cifar10", "cifar100", "imagenet200")
        for s in ("small", "large")
    ]
    assert min(gains) == pytest.approx(2.25)
    assert max(gains) == pytest.approx(3.20)


def test_the_ablations_of_the_paper_share_their_default_cell() -> None:
    for table, value in ((TABLE3, 1024), (TABLE4, 0.2), (TABLE5, 1e-3)):
        assert table["feedforward", value] == 35.43
        assert (
            table["transformer", value] == TABLE2["cifar100", "transformer", "small"].unsupervised
        )
    for head in ("feedforward", "transformer"):
        assert TABLE6[head, 1, "backbone"] == TABLE2["cifar100", head, "small"].supervised

import warnings

import pytest
import torch

with warnings.catch_warnings():
    # solo-learn 1.0.6 uses names that timm and torch have moved since.
    warnings.simplefilter("ignore")
    pytest.importorskip("solo.methods", reason="solo-learn is not installed", exc_type=ImportError)
    from solo.methods import base, linear
    from solo.utils.metrics import accuracy_at_k

    from df_heads.integrations.solo_learn import register, unregister


def test_registering_lets_top_5_be_asked_of_fewer_classes() -> None:
    outputs, targets = torch.eye(3), torch.tensor([0, 1, 0])
    with pytest.raises(RuntimeError, match="out of range"):
        linear.accuracy_at_k(outputs, targets, top_k=(1, 5))
    register()
    register()
    try:
        for place in (base, linear):
            top1, top5 = place.accuracy_at_k(outputs, targets, top_k=(1, 5))
            assert (round(top1.item(), 1), top5.item()) == (66.7, 100.0)
        many, labels = torch.randn(20, 9), torch.arange(20) % 9
        assert linear.accuracy_at_k(many, labels) == accuracy_at_k(many, labels)
    finally:
        unregister()
    assert linear.accuracy_at_k is base.accuracy_at_k is accuracy_at_k

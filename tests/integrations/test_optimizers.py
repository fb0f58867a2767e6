from collections.abc import Callable
from typing import Any

import pytest
import torch
from lightly.utils.lars import LARS
from pytorch_lightning import Trainer
from torch import nn
from torch.utils.data import DataLoader

from df_heads.integrations.byol import BYOL
from df_heads.integrations.simclr import SimCLR


@pytest.mark.parametrize(
    ("name", "kind"), [("sgd", torch.optim.SGD), ("lars", LARS), ("adamw", torch.optim.AdamW)]
)
def test_each_trains_and_spares_what_does_not_decay(
    name: str,
    kind: type,
    tiny: Callable[..., Any],
    loader: Callable[[], DataLoader[Any]],
    quick_trainer: Callable[..., Trainer],
) -> None:
    model = tiny(SimCLR, optimizer=name, learning_rate=0.01, weight_decay=0.1)
    before = [p.clone() for p in model.parameters()]
    trainer = quick_trainer(max_epochs=1)
    trainer.fit(model, loader())
    (optimizer,) = trainer.optimizers
    assert type(optimizer) is kind
    decayed, free = optimizer.param_groups
    assert (decayed["weight_decay"], free["weight_decay"]) == (0.1, 0.0)
    assert all(p.dim() >= 2 for p in decayed["params"])
    assert any(not torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


def test_an_unknown_one_is_refused(tiny: Callable[..., Any]) -> None:
    with pytest.raises(ValueError, match="optimizer='adam' is not known; choose 'sgd', 'lars' or"):
        tiny(BYOL, optimizer="adam")


def test_pretrained_weights_are_for_names_and_not_asked_for_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[bool] = []

    def build(name: str, *, pretrained: bool, **_: Any) -> nn.Module:
        asked.append(pretrained)
        return nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 4))

    monkeypatch.setattr("df_heads.integrations.method.base.build_backbone", build)
    options: dict[str, Any] = {"image_size": 8, "head_options": {"num_layers": 1}}
    model = SimCLR("resnet18", pretrained=True, **options)
    assert asked == [True]
    assert "pretrained" not in model.hparams
    with pytest.raises(ValueError, match="pretrained=True is for a backbone given by name"):
        SimCLR(nn.Flatten(), pretrained=True, **options)

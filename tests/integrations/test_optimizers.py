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


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_torch_may_update_many_tensors_at_once(name: str, tiny: Callable[..., Any]) -> None:
    # fused=False would also turn off the foreach kernels, which torch takes on a GPU.
    model = tiny(SimCLR, optimizer=name)
    assert model.build_optimizer().defaults["fused"] is None
    model.fused_optimizer = True
    assert model.build_optimizer().defaults["fused"] is True


@pytest.mark.parametrize(("device", "shown"), [("cpu", True), ("meta", False)])
def test_the_bar_shows_a_loss_only_where_reading_it_waits_for_nothing(
    device: str, shown: bool, tiny: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tiny(SimCLR)
    logged: dict[str, Any] = {}
    monkeypatch.setattr(model, "log", lambda name, _, **options: logged.update({name: options}))
    monkeypatch.setattr(model, "loss", lambda _: torch.zeros((), device=device))
    model.training_step([[torch.zeros(4, 3, 8, 8)] * 2], 0)
    assert logged["train_loss"]["prog_bar"] is shown


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

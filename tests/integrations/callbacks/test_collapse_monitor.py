import math
import time
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from pytorch_lightning import LightningModule
from torch import Tensor, nn
from torch.utils.data import DataLoader

from df_heads import TransformerProjectionHead
from df_heads.integrations.byol import BYOL
from df_heads.integrations.callbacks.collapse_monitor import CollapseMonitor
from df_heads.integrations.moco import MoCo
from df_heads.integrations.simclr import SimCLR
from df_heads.integrations.training.finiteness import NotFiniteError

heads = pytest.importorskip("lightly.models.modules.heads")
Make = Callable[..., Any]
RECKLESS = {"learning_rate": 30.0, "warmup_fraction": 0.0, "gradient_clip": None}


class Dead(nn.Module):
    """Gives every sample the same direction."""

    def __init__(self) -> None:
        super().__init__()
        self.direction = nn.Parameter(torch.ones(8))

    def forward(self, x: Tensor) -> Tensor:
        return self.direction * (1 + x.square().mean(dim=-1, keepdim=True))


def watch(trainer: Any, model: Any, loader: Any, **options: Any) -> tuple[CollapseMonitor, Any]:
    monitor = CollapseMonitor(**options)
    trainer.callbacks.append(monitor)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        trainer.fit(model, loader())
    return monitor, [str(w.message) for w in caught if "collapsed" in str(w.message)]


@pytest.mark.parametrize("method", [SimCLR, MoCo, BYOL])
def test_a_dead_head_is_said_once_under_every_method(
    method: Any, tiny: Make, quick_trainer: Make, loader: Make
) -> None:
    monitor, said = watch(quick_trainer(max_epochs=5), tiny(method, head=Dead()), loader)
    assert len(said) == 1
    assert "projection_head has collapsed at step 5: the outputs of all samples" in said[0]
    assert "lower learning_rate, raise warmup_fraction, or clip the gradient" in said[0]
    assert monitor.steps == {"projection_head": 4}
    assert monitor.found["projection_head"].cause == "parallel"


@pytest.mark.parametrize("method", [SimCLR, MoCo, BYOL])
def test_a_living_head_is_left_in_peace(
    method: Any, tiny: Make, quick_trainer: Make, loader: Make
) -> None:
    states = []
    for callbacks in ([], [CollapseMonitor()]):
        torch.manual_seed(0)
        head = TransformerProjectionHead(16, 8, 8, num_layers=2, num_heads=2, head_dim=4)
        model = tiny(method, head=head)
        quick_trainer(max_epochs=3, callbacks=callbacks).fit(model, loader())
        states.append(model.state_dict())
        for callback in callbacks:
            assert callback.found == {}
            assert not model.projection_head._forward_hooks
    for name, value in states[0].items():
        assert torch.equal(value, states[1][name]), name


def test_the_paper_s_form_is_told_what_to_change_and_stops(
    tiny: Make, quick_trainer: Make, loader: Make
) -> None:
    model = tiny(SimCLR, **RECKLESS)
    trainer = quick_trainer(max_epochs=50)
    monitor, said = watch(trainer, model, loader, on_collapse="stop")
    assert len(said) == 1
    assert 'form="stable"' in said[0]
    assert said[0].endswith("Training stops here.")
    assert trainer.global_step == monitor.steps["projection_head"] + 1 <= 20


class LikeLightly(LightningModule):
    """As lightly's Lightning examples are written."""

    def __init__(self, head: nn.Module, name: str) -> None:
        super().__init__()
        self.backbone = nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 16, 6))
        setattr(self, name, head)
        self.name = name

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        z = getattr(self, self.name)(self.backbone(batch[0][0]))
        loss: Tensor = z.square().mean()
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=1e-3)


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (heads.SimCLRProjectionHead(6, 7, 5), "anything"),
        (nn.Sequential(nn.Linear(6, 7), nn.ReLU(), nn.Linear(7, 5)), "projector"),
        (nn.Linear(6, 5), "my_head"),
    ],
)
def test_heads_of_others(head: nn.Module, name: str, quick_trainer: Make, loader: Make) -> None:
    model = LikeLightly(head, name)
    option = {"head": name} if name == "my_head" else {}
    monitor, said = watch(quick_trainer(), model, loader, **option)
    assert said == []
    assert list(monitor._watches) == [name]
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.zero_()
        list(head.parameters())[-1].fill_(1.0)
    assert watch(quick_trainer(max_epochs=5), model, loader, **option)[0].found.keys() == {name}


def test_a_module_without_a_head_gets_one_clear_sentence(quick_trainer: Make, loader: Make) -> None:
    model = LikeLightly(nn.Linear(6, 5), "my_layers")
    with pytest.raises(ValueError, match="no projection head that CollapseMonitor knows"):
        quick_trainer(callbacks=[CollapseMonitor()]).fit(model, loader())
    with pytest.raises(ValueError, match="head='nowhere' is not in LikeLightly"):
        quick_trainer(callbacks=[CollapseMonitor(head="nowhere")]).fit(model, loader())
    with pytest.raises(ValueError, match="on_collapse='die' is not known"):
        CollapseMonitor("die")  # type: ignore[arg-type]


def test_a_head_that_is_not_called_is_said(quick_trainer: Make, loader: Make) -> None:
    model = LikeLightly(nn.Linear(6, 5), "projector")
    model.unused = heads.SimCLRProjectionHead(6, 7, 5)
    with pytest.warns(UserWarning, match="saw no outputs of unused"):
        quick_trainer(callbacks=[CollapseMonitor()]).fit(model, loader())


@pytest.mark.parametrize("method", [SimCLR, MoCo, BYOL])
def test_nan_stops_a_plain_trainer(
    method: Any, tiny: Make, quick_trainer: Make, loader: Make
) -> None:
    model = tiny(method)
    with torch.no_grad():
        next(model.projection_head.parameters()).fill_(math.nan)
    with pytest.raises(NotFiniteError, match="loss became nan in epoch 1, step 1; lower learning"):
        quick_trainer().fit(model, loader())


def test_nan_images_are_named(tiny: Make, quick_trainer: Make, views: list[Tensor]) -> None:
    views[0][3, 1, 2, 2] = math.nan
    batches: Any = [(views, 0)]
    with pytest.raises(NotFiniteError, match="images of its batch hold 1 values that are not"):
        quick_trainer().fit(tiny(SimCLR), DataLoader(batches, batch_size=None))


def test_weights_that_break_in_the_last_step_stop_it_too(
    tiny: Make, quick_trainer: Make, loader: Make
) -> None:
    model = tiny(SimCLR)
    steps = 2 * len(loader())  # the poison comes after the last

    def poison(*_: Any) -> None:
        if model.trainer.global_step == steps - 1:
            with torch.no_grad():
                model.backbone[0].weight[0] = math.inf

    trainer = quick_trainer(max_epochs=2)
    original = model.configure_optimizers

    def configured() -> Any:
        config = original()
        config["optimizer"].register_step_post_hook(poison)
        return config

    model.configure_optimizers = configured
    with pytest.raises(NotFiniteError, match=r"weights, such as 0.weight, are not finite after"):
        trainer.fit(model, loader())


def test_watching_costs_little() -> None:
    """Under 1 % of a step that takes 100 ms: far less than any step of a ResNet on a CPU."""
    from df_heads.collapse import CollapseWatch

    z, watch = torch.randn(256, 128), CollapseWatch()
    seconds = []
    for step in range(0, 400, 4):
        started = time.perf_counter()
        watch.look(step + 400, z)
        seconds.append(time.perf_counter() - started)
    assert sorted(seconds)[len(seconds) // 2] / 4 < 1e-3

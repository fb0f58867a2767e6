from typing import Any

import pytest
import torch
from torch import Tensor

from df_heads.benchmarks.harness.base.errors import InputError
from df_heads.benchmarks.harness.base.experiment import Experiment
from df_heads.benchmarks.harness.train.class_oracle import ClassOracle
from df_heads.benchmarks.harness.train.models import build_model
from df_heads.integrations.simclr import SimCLR

LABELS = torch.tensor([0, 1, 0, 2, 1, 0])
SAME = LABELS[:, None] == LABELS


def experiment(**changes: Any) -> Experiment:
    values = {"dataset": "digits", "head": "transformer-oracle-small", "backbone": "cnn4"}
    return Experiment(**{**values, "image_size": 16, "batch_size": 6, **changes})


def oracle(**options: Any) -> ClassOracle:
    torch.manual_seed(0)
    model = build_model(experiment(**options))
    assert isinstance(model, ClassOracle)
    model.log = lambda *_, **__: None  # type: ignore[method-assign]
    return model


def influences(model: ClassOracle, views: int = 2) -> Tensor:
    """Whether feature j of all views reaches projection i: bool (2 N, 2 N)."""
    features = torch.randn(views * len(LABELS), 128, generator=torch.Generator().manual_seed(1))

    def project(joined: Tensor) -> Tensor:
        return torch.cat(model.project(joined.chunk(views)))

    jacobian = torch.autograd.functional.jacobian(project, features)
    return jacobian.abs().amax(dim=(1, 3)) > 1e-9


def step(model: ClassOracle) -> Tensor:
    images = [torch.randn(6, 3, 16, 16, generator=torch.Generator().manual_seed(i)) for i in (1, 2)]
    return model.training_step((images, LABELS), 0)


def test_a_token_meets_its_own_class_in_its_own_view() -> None:
    model = oracle()
    loss = step(model)
    loss.backward()
    assert loss.isfinite()
    expected = torch.block_diag(SAME, SAME).bool()
    assert torch.equal(influences(model), expected)


@pytest.mark.parametrize("mask_partner", [False, True])
def test_with_joint_views_a_token_meets_its_class_in_both(mask_partner: bool) -> None:
    model = oracle(views="joint", mask_partner=mask_partner, num_layers=1)
    step(model)
    expected = SAME.tile(2, 2)
    if mask_partner:
        expected &= ~torch.eye(12, dtype=torch.bool).roll(6, dims=0)
    assert torch.equal(influences(model), expected)


def test_the_loss_is_simclrs_where_all_are_of_one_class() -> None:
    torch.manual_seed(0)
    usual = build_model(experiment(head="transformer-small"))
    assert isinstance(usual, SimCLR)
    model = oracle()
    model.load_state_dict(usual.state_dict())
    views = [torch.randn(6, 3, 16, 16) for _ in range(2)]
    told = model.training_step((views, torch.zeros(6, dtype=torch.int64)), 0)
    torch.testing.assert_close(told, usual.loss(views))


@pytest.mark.parametrize("changes", [{"method": "byol"}, {"compiled": True}])
def test_only_the_eager_step_of_simclr_tells_the_classes(changes: dict[str, Any]) -> None:
    default = {"temperature": 0.2}
    with pytest.raises(InputError, match="told the classes by SimCLR's eager step only"):
        build_model(experiment(**default, **changes))

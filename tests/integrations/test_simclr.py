import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightly.loss import NTXentLoss
from lightly.models.modules import SimCLRProjectionHead
from lightning_versions import WEIGHTS_ONLY
from torch import Tensor

from df_heads import TransformerProjectionHead
from df_heads.fusion import record_attention
from df_heads.integrations.method.attention_masks import project_alone
from df_heads.integrations.simclr import SimCLR

Make = Callable[..., Any]


def tiny_head(**options: Any) -> TransformerProjectionHead:
    options = {"form": "paper", "num_layers": 2, "num_heads": 2, "head_dim": 4, **options}
    return TransformerProjectionHead(16, 8, 8, **options)


MASKED = {"views": "joint", "mask_partner": True}


def nt_xent(z0: Tensor, z1: Tensor, temperature: float) -> Tensor:
    """Equation 1, one pair at a time."""
    z = torch.cat([z0, z1])
    n = len(z0)
    losses = []
    for i in range(2 * n):
        j = (i + n) % (2 * n)
        sims = torch.stack(
            [torch.cosine_similarity(z[i], z[k], dim=0) / temperature for k in range(2 * n)]
        )
        others = torch.cat([sims[:i], sims[i + 1 :]])
        losses.append(torch.logsumexp(others, 0) - sims[j])
    return torch.stack(losses).mean()


@pytest.mark.parametrize("views", ["separate", "joint"])
def test_the_loss_is_equation_1_over_the_named_sequences(
    views: Any, tiny: Make, loader: Make
) -> None:
    model = tiny(SimCLR, views=views, temperature=0.3)
    batch = next(iter(loader()))
    images = torch.cat(list(batch[0]))
    f0, f1 = model(images).chunk(2)
    if views == "separate":
        z0, z1 = model.projection_head(f0), model.projection_head(f1)
    else:
        z0, z1 = model.projection_head(torch.cat([f0, f1])).chunk(2)
    torch.testing.assert_close(model.loss(batch[0]), nt_xent(z0, z1, 0.3))


def test_the_loss_in_chunks_is_lightly_s(tiny: Make, loader: Make) -> None:
    batch = next(iter(loader()))
    gradients = []
    for criterion in (NTXentLoss(0.3), None):
        model = tiny(SimCLR, temperature=0.3, loss_chunk_size=5)
        model.criterion = criterion or model.criterion
        loss = model.loss(batch[0])
        gradients.append([loss, *torch.autograd.grad(loss, list(model.parameters()))])
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-5)


def test_a_head_of_another_library_sees_one_view_at_a_time(tiny: Make) -> None:
    head = SimCLRProjectionHead(16, 8, 8)
    model = tiny(SimCLR, head=head)
    f0, f1 = torch.randn(6, 16), 3 * torch.randn(6, 16)
    z0, z1 = model.project([f0, f1])
    torch.testing.assert_close(z0, head(f0))
    torch.testing.assert_close(z1, head(f1))


@pytest.mark.parametrize("attention", ["softmax", "tied", "uniform"])
def test_a_masked_partner_is_not_attended_to(attention: Any, tiny: Make) -> None:
    model = tiny(SimCLR, head=tiny_head(attention=attention), **MASKED)
    views = [torch.randn(5, 16), torch.randn(5, 16)]
    with record_attention(model.projection_head) as maps:
        z0, z1 = model.project(views)
    partner = torch.arange(10).roll(5)
    for weights in maps.values():
        to_partner = weights[..., torch.arange(10), partner]
        assert torch.equal(to_partner, torch.zeros_like(to_partner))
        assert int((weights > 0).sum(-1).min()) == 9
    mask = torch.ones(10, 10, dtype=torch.bool)
    mask[torch.arange(10), partner] = False
    joined = model.projection_head(torch.cat(views), attn_mask=mask)
    torch.testing.assert_close(torch.cat([z0, z1]), joined)


def test_the_mask_of_partners_is_made_once_for_each_size(tiny: Make) -> None:
    model = tiny(SimCLR, **MASKED)
    device = torch.device("cpu")
    first = model.partner_mask(4, device)
    assert model.partner_mask(4, device) is first
    assert model.partner_mask(3, device).shape == (6, 6)
    assert model.state_dict().keys() == tiny(SimCLR).state_dict().keys()


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("attention", ["softmax", "uniform"])
@pytest.mark.parametrize("norm_first", [True, False])
def test_the_own_stream_is_attention_off_with_the_same_weights(
    norm_first: bool, attention: Any, training: bool
) -> None:
    """Outputs and gradients, in float64, in which a mistake cannot pass for rounding."""
    head = tiny_head(attention=attention, norm_first=norm_first).double().train(training)
    off = tiny_head(attention="self", norm_first=norm_first).double().train(training)
    off.load_state_dict(head.state_dict())
    gradients = []
    for one, project in ((head, project_alone), (off, lambda h, fs: [h(f) for f in fs])):
        generator = torch.Generator().manual_seed(0)
        views = [
            torch.randn(6, 16, dtype=torch.float64, generator=generator, requires_grad=True)
            for _ in range(2)
        ]
        z = torch.cat(project(one, views))
        z.square().sum().backward()
        filled = [p.grad if p.grad is not None else torch.zeros_like(p) for p in one.parameters()]
        gradients.append([z, *(view.grad for view in views), *filled])
    torch.testing.assert_close(*gradients, rtol=0, atol=1e-11)


def test_the_own_stream_of_a_tied_head_ignores_the_rest_of_the_batch() -> None:
    head = tiny_head(attention="tied")
    views = [torch.randn(6, 16), torch.randn(6, 16)]
    alone = torch.cat(project_alone(head, views))
    each = torch.cat([head(sample.unsqueeze(0)) for sample in torch.cat(views)])
    torch.testing.assert_close(alone, each)


@pytest.mark.parametrize("views", ["separate", "joint"])
def test_two_streams_are_contrasted_in_all_four_pairs(views: Any, tiny: Make, loader: Make) -> None:
    model = tiny(SimCLR, views=views, streams=2)
    batch = next(iter(loader()))
    calls = []
    model.backbone.register_forward_hook(lambda *_: calls.append(1))
    loss = model.loss(batch[0])
    assert len(calls) == 1
    features = model(torch.cat(list(batch[0]))).chunk(2)
    mixed, own = model.project(features), project_alone(model.projection_head, features)
    assert (mixed[0] - own[0]).abs().max() > 1e-3
    four = [nt_xent(z0, z1, 0.2) for z0 in (mixed[0], own[0]) for z1 in (mixed[1], own[1])]
    torch.testing.assert_close(loss, torch.stack(four).mean())


def test_with_attention_off_two_streams_are_one(tiny: Make, loader: Make) -> None:
    batch = next(iter(loader()))
    one, two = (
        tiny(SimCLR, head=tiny_head(attention="self"), streams=streams) for streams in (1, 2)
    )
    two.load_state_dict(one.state_dict())
    torch.testing.assert_close(one.loss(batch[0]), two.loss(batch[0]))


@pytest.mark.parametrize("options", [MASKED, {"streams": 2}])
def test_masks_and_streams_train(
    options: dict[str, Any], tiny: Make, quick_trainer: Make, loader: Make
) -> None:
    model = tiny(SimCLR, **options)
    before = model.loss(next(iter(loader()))[0]).item()
    trainer = quick_trainer(max_epochs=10)
    trainer.fit(model, loader())
    assert float(trainer.callback_metrics["train_loss"]) < before - 0.5


def test_a_checkpoint_builds_the_same_model_again(
    tmp_path: Path, quick_trainer: Make, loader: Make
) -> None:
    torch.manual_seed(0)
    model = SimCLR("test_resnet", "transformer-self-small", temperature=0.3, image_size=16)
    trainer = quick_trainer(max_epochs=1)
    trainer.fit(model, loader())
    trainer.save_checkpoint(tmp_path / "model.ckpt")
    twin = SimCLR.load_from_checkpoint(tmp_path / "model.ckpt", **WEIGHTS_ONLY)
    attention: Any = twin.get_submodule("projection_head.blocks.0.attention")
    assert attention.attention == "self"
    assert twin.criterion.temperature == 0.3
    model.eval()
    twin.eval()
    images = torch.randn(4, 3, 16, 16)
    torch.testing.assert_close(twin(images), model(images))


def test_forward_gives_backbone_features(tiny: Make) -> None:
    model = tiny(SimCLR)
    images = torch.randn(5, 3, 16, 16)
    assert model(images).shape == (5, 16)
    torch.testing.assert_close(model(images), model.backbone(images).flatten(1))


@pytest.mark.parametrize("views", ["separate", "joint"])
def test_training_lowers_the_loss(
    views: Any, tiny: Make, quick_trainer: Make, loader: Make
) -> None:
    model = tiny(SimCLR, views=views)
    batch = next(iter(loader()))
    before = model.loss(batch[0]).item()
    trainer = quick_trainer(max_epochs=10)
    trainer.fit(model, loader())
    assert float(trainer.callback_metrics["train_loss"]) < before - 0.5
    assert before < math.log(2 * 16 - 1) + 1


def test_the_learning_rate_warms_up_and_ends_near_zero(
    tiny: Make, quick_trainer: Make, loader: Make
) -> None:
    rates = []

    class Recorder(SimCLR):
        def training_step(self, batch: Any, batch_idx: int) -> Tensor:
            rates.append(self.optimizers().param_groups[0]["lr"])
            return super().training_step(batch, batch_idx)

    model = tiny(Recorder, learning_rate=0.2, warmup_fraction=0.5)
    trainer = quick_trainer()
    trainer.fit(model, loader())
    assert len(rates) == 8
    assert rates == sorted(rates[:4]) + sorted(rates[4:], reverse=True)
    assert max(rates) == pytest.approx(0.2)
    assert rates[-1] < 0.05


def test_weight_decay_spares_biases_norms_and_scales(
    tiny: Make, quick_trainer: Make, loader: Make
) -> None:
    model = tiny(SimCLR, head=tiny_head(attention="tied"))
    trainer = quick_trainer()
    trainer.fit(model, loader())
    decayed, free = trainer.optimizers[0].param_groups
    assert decayed["weight_decay"] == 1e-3
    assert free["weight_decay"] == 0
    assert all(p.dim() >= 2 for p in decayed["params"])
    assert all(p.dim() == 1 for p in free["params"])
    scales = {id(b.attention.cosine_scale) for b in model.projection_head.blocks}
    assert scales <= {id(p) for p in free["params"]}
    both = [id(p) for group in (decayed, free) for p in group["params"]]
    assert sorted(both) == sorted(id(p) for p in model.parameters())


@pytest.mark.parametrize(
    ("own", "trainers", "bound"), [(1e-3, None, 1e-3), (1e-3, 1e-4, 1e-4), (None, None, math.inf)]
)
def test_gradients_are_clipped(
    own: float | None,
    trainers: float | None,
    bound: float,
    tiny: Make,
    quick_trainer: Make,
    loader: Make,
) -> None:
    norms = []

    class Recorder(SimCLR):
        def on_before_optimizer_step(self, optimizer: Any) -> None:
            norms.append(torch.stack([p.grad.norm() for p in self.parameters()]).norm().item())

        def optimizer_step(self, *args: Any, **options: Any) -> None:
            super().optimizer_step(*args, **options)
            norms.append(torch.stack([p.grad.norm() for p in self.parameters()]).norm().item())

    model = tiny(Recorder, gradient_clip=own)
    quick_trainer(gradient_clip_val=trainers).fit(model, loader())
    before, after = norms[::2], norms[1::2]
    for raw, clipped in zip(before, after, strict=True):
        assert raw > 1e-2
        assert clipped == pytest.approx(min(raw, bound), rel=1e-3)


def test_runs_with_different_heads_start_from_the_same_backbone() -> None:
    states = []
    for head in ("transformer", "feedforward"):
        torch.manual_seed(3)
        model = SimCLR("resnet18", head)
        states.append((model.backbone.state_dict(), torch.rand(1)))
    for name, value in states[0][0].items():
        assert torch.equal(value, states[1][0][name])
    assert torch.equal(states[0][1], states[1][1])


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        ([torch.ones(4, 3, 16, 16), 1], "views a list of 2 image tensors"),
        (([torch.ones(4, 3, 16, 16)], 1), "views a list of 2 image tensors"),
        (([torch.ones(4, 3, 16, 16), torch.ones(4, 3, 8, 8)], 1), "they must be equal"),
        (([torch.ones(1, 3, 16, 16), torch.ones(1, 3, 16, 16)], 1), "holds 1 image; .* at least 2"),
    ],
)
def test_bad_batches_get_one_clear_sentence(batch: Any, message: str, tiny: Make) -> None:
    with pytest.raises(ValueError, match=message):
        tiny(SimCLR).training_step(batch, 0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"views": "both"}, "views='both' is not known; choose 'separate' or 'joint'"),
        ({"head": "resnet"}, "no head 'resnet'"),
        ({"temperature": 0.0}, "temperature=0.0 must be above 0"),
        ({"temperature": float("nan")}, "temperature=nan must be above 0 and finite"),
        ({"temperature": float("inf")}, "temperature=inf must be above 0 and finite"),
        ({"learning_rate": float("nan")}, "learning_rate=nan must be above 0 and finite"),
        ({"learning_rate": float("inf")}, "learning_rate=inf must be above 0 and finite"),
        ({"warmup_fraction": float("nan")}, "warmup_fraction=nan must be at least 0"),
        ({"gradient_clip": float("nan")}, "gradient_clip=nan must be above 0 and finite"),
        ({"momentum": float("nan")}, "momentum=nan must be at least 0 and below 1"),
        ({"weight_decay": -0.1}, "weight_decay=-0.1 must be at least 0 and finite"),
        ({"learning_rate": 0.0}, "learning_rate=0.0 must be above 0"),
        ({"loss_chunk_size": 0}, "chunk_size=0 must be a whole number of at least 1"),
        ({"gradient_clip": 0.0}, "gradient_clip=0.0 must be above 0"),
        ({"warmup_fraction": 1.0}, "warmup_fraction=1.0 must be at least 0 and below 1"),
        ({"mask_partner": True}, "needs views='joint'; with views='separate'"),
        ({**MASKED, "head": "feedforward"}, "takes attn_mask.*; FeedForwardProjectionHead does"),
        ({**MASKED, "head": SimCLRProjectionHead(16, 8, 8)}, "SimCLRProjectionHead does not"),
        ({**MASKED, "head": tiny_head(sequence_length=4)}, "sequence_length=4 of the head cuts it"),
        ({**MASKED, "head": tiny_head(gather_distributed=True)}, "attends to all processes"),
        ({"streams": 3}, "streams=3 is not known; choose 1, or 2"),
        ({"streams": 2, "head": "feedforward"}, "needs a TransformerProjectionHead; FeedForward"),
        ({"streams": 2, "head": tiny_head(gather_distributed=True)}, "join across processes"),
    ],
)
def test_bad_options_get_one_clear_sentence(
    options: dict[str, Any], message: str, tiny: Make
) -> None:
    with pytest.raises(ValueError, match=message):
        tiny(SimCLR, **options)


def test_a_run_without_an_end_gets_one_clear_sentence(
    tiny: Make, quick_trainer: Make, loader: Make
) -> None:
    trainer = quick_trainer(max_epochs=-1)
    with pytest.raises(ValueError, match="give the Trainer max_epochs or max_steps"):
        trainer.fit(tiny(SimCLR), loader())


def test_options_of_a_named_head(tiny: Make) -> None:
    model = tiny(SimCLR, head="transformer", head_options={"num_layers": 2})
    assert len(model.projection_head.blocks) == 2
    assert model.hparams["head_options"] == {"num_layers": 2}
    with pytest.raises(ValueError, match="head_options=.* are for a head given by name"):
        tiny(SimCLR, head_options={"num_layers": 2})

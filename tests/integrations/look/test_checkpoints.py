from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from looked_pages import Page
from pytorch_lightning import LightningModule, Trainer
from torch import nn

from df_heads import FeedForwardProjectionHead, TransformerProjectionHead
from df_heads.integrations.byol import BYOL
from df_heads.integrations.errors import InputError
from df_heads.integrations.lightly import replace_projection_head
from df_heads.integrations.look import look_at
from df_heads.integrations.look.checkpoints import subject_of_checkpoint
from df_heads.integrations.simclr import SimCLR

heads = pytest.importorskip("lightly.models.modules.heads")
SMALL = {"hidden_dim": 16, "output_dim": 8, "num_layers": 2, "num_heads": 2, "head_dim": 4}
UNSAID: Any = {"backbone": None, "image_size": None, "num_heads": None}


def save(model: LightningModule, file: Path) -> Path:
    """As Lightning does it in training."""
    trainer = Trainer(
        accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False
    )
    trainer.strategy.connect(model)
    trainer.save_checkpoint(file)
    return file


def same(ours: nn.Module, theirs: Any, *shape: int) -> None:
    x = torch.randn(*shape)
    with torch.no_grad():
        expected = theirs.eval()(x).flatten(1)
        torch.testing.assert_close(ours(x).flatten(1), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("method", [SimCLR, BYOL])
def test_checkpoints_of_ours_say_what_they_are(method: Any, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = method("test_resnet", "transformer-tied", head_options=SMALL, image_size=48)
    found = subject_of_checkpoint(save(model, tmp_path / "a.ckpt"), **UNSAID)
    same(found.backbone, model.backbone, 2, 3, 48, 48)
    assert found.head is not None
    same(found.head, model.projection_head, 5, model.projection_head.input_dim)
    assert found.preprocessing.image_size == 48
    assert ("step", "0") in found.facts
    assert len(found.notes) == 1


class LikeLightly(LightningModule):
    """As lightly's Lightning examples are written."""

    def __init__(self) -> None:
        super().__init__()
        resnet = torchvision.models.resnet18()
        self.backbone = nn.Sequential(*list(resnet.children())[:-1])
        self.projection_head = heads.SimCLRProjectionHead(512, 512, 128)


def test_a_checkpoint_of_lightly_with_the_head_swapped(tmp_path: Path, shapes: Path) -> None:
    torch.manual_seed(0)
    model = LikeLightly()
    plain = save(model, tmp_path / "plain.ckpt")
    options: Any = {"form": "paper", "num_layers": 2, "num_heads": 2, "head_dim": 8}
    replace_projection_head(model, **options)
    file = save(model, tmp_path / "swapped.ckpt")
    found = subject_of_checkpoint(file, backbone=None, image_size=32, num_heads=2)
    same(found.backbone, model.backbone, 2, 3, 32, 32)
    assert found.head is not None
    same(found.head, model.projection_head, 5, 512)
    page = look_at(file, shapes, image_size=32, num_heads=2)
    assert page == tmp_path / "swapped-look" / "look.html"
    assert "its weights fit a resnet18" in Page(page).text
    own = look_at(plain, shapes, image_size=32)
    assert "projection_head, which does not attend over the batch" in Page(own).text


@pytest.mark.parametrize(
    "options",
    [
        {"form": "paper"},
        {"form": "paper", "norm_first": True, "input_norm": "layer", "mlp_ratio": 1.3},
        {"input_norm": "batch", "attention": "tied", "num_heads": 3},
        {"num_heads": 2},
    ],
)
def test_a_checkpoint_like_those_of_solo_learn(options: dict[str, Any], tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = nn.Module()
    model.backbone = torchvision.models.resnet18()
    model.backbone.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
    model.backbone.maxpool, model.backbone.fc = nn.Identity(), nn.Identity()
    sizes = {"hidden_dim": 16, "output_dim": 8, "num_layers": 1}
    model.projector = TransformerProjectionHead(512, **{**sizes, **options})
    model.momentum_projector = TransformerProjectionHead(512, **{**sizes, **options})
    model.predictor = nn.Linear(8, 8)
    torch.save({"state_dict": model.state_dict()}, tmp_path / "a.ckpt")
    found = subject_of_checkpoint(tmp_path / "a.ckpt", **UNSAID)
    same(found.backbone, model.backbone, 2, 3, 32, 32)
    assert found.head is not None
    same(found.head, model.projector, 5, 512)
    assert ("backbone", "resnet18, stem small") in found.facts
    said = " ".join(found.notes)
    assert ("How many attention heads" in said) == (options.get("attention") != "tied")
    assert "looked at at 32 x 32" in said


def test_bad_checkpoints_get_one_sentence(tmp_path: Path, shapes: Path) -> None:
    model = SimCLR("test_vit", "transformer", head_options=SMALL, image_size=32)
    state = model.state_dict()

    def file(name: str, content: Any) -> Path:
        torch.save(content, tmp_path / name)
        return tmp_path / name

    body = {k: v for k, v in state.items() if k.startswith("backbone.")}
    head = {k: v for k, v in state.items() if not k.startswith("backbone.")}
    (tmp_path / "text.ckpt").write_text("no checkpoint")
    two = {**state, **{f"other.{k}": v for k, v in head.items()}}
    other = {f"head.{k}": v for k, v in FeedForwardProjectionHead(4, 4, 4).state_dict().items()}
    cases: list[tuple[Path, dict[str, Any], str]] = [
        (tmp_path / "text.ckpt", {}, "cannot be read as a checkpoint of tensors and plain data"),
        (file("list", [1, 2]), {}, "holds no weights; give a Lightning checkpoint"),
        (file("body", body), {}, "holds no projection head; give a checkpoint of the whole model"),
        (file("head", head), {"num_heads": 2}, r"holds no weights named backbone.\* or encoder.\*"),
        (file("other", other), {}, r"holds no weights named backbone.\* or encoder.\*"),
        (file("two", two), {}, "holds 2 Transformer heads"),
        (file("vit", state), {"num_heads": 2}, "does not say what its backbone is; name it as"),
        (file("vit", state), {"num_heads": 3}, "8 wide, which 3 heads cannot share; give --num"),
        (file("vit", state), {"num_heads": 2, "backbone": "resnet18"}, "is no resnet18 with stem"),
        (file("vit", state), {"num_heads": 2, "backbone": "resnet1"}, "timm has no backbone"),
    ]
    for place, options, message in cases:
        with pytest.raises(InputError, match=message) as error:
            look_at(place, shapes, **options)
        assert "\n" not in str(error.value)
    good = file("vit", state)
    with pytest.raises(InputError, match="does not say which pictures to look at; name their"):
        look_at(good, backbone="test_vit", image_size=32, num_heads=2)
    assert look_at(good, shapes, backbone="test_vit", image_size=32, num_heads=2).is_file()

from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from torch import nn

from df_heads.integrations.backbones import (
    architecture,
    build_backbone,
    create_arguments,
    feature_width,
)
from df_heads.integrations.choices import STEMS, Stem


@pytest.mark.parametrize(
    ("name", "stem", "width"),
    [
        ("resnet18", "imagenet", 512),
        ("resnet18", "small", 512),
        ("resnet50", "small", 2048),
        ("vit_tiny_patch16_224", "imagenet", 192),
        ("vit_tiny_patch16_224", "small", 192),
    ],
)
def test_features_of_small_images(name: str, stem: Stem, width: int) -> None:
    backbone = build_backbone(name, stem=stem, image_size=32)
    assert feature_width(backbone) == width
    assert backbone(torch.randn(2, 3, 32, 32)).shape == (2, width)


def test_the_imagenet_stem_shrinks_the_image_and_the_small_stem_does_not() -> None:
    x = torch.randn(2, 3, 32, 32)
    model: Any
    for stem, side in zip(STEMS, (8, 32), strict=True):
        model = build_backbone("resnet18", stem=stem)
        assert model.maxpool(model.act1(model.bn1(model.conv1(x)))).shape[-1] == side
    assert model.conv1.kernel_size == (3, 3)


def test_the_small_stem_gives_a_vit_an_8_by_8_grid() -> None:
    for size in (32, 64):
        vit = build_backbone("vit_tiny_patch16_224", stem="small", image_size=size)
        assert vit.patch_embed.grid_size == (8, 8)


def test_feature_width_of_a_plain_module_leaves_it_as_it_was() -> None:
    plain = nn.Sequential(nn.Conv2d(3, 7, 3), nn.BatchNorm2d(7), nn.AdaptiveAvgPool2d(1))
    plain[1].eval()
    before = {name: value.clone() for name, value in plain.state_dict().items()}
    assert feature_width(plain, image_size=16) == 7
    assert plain.training
    assert not plain[1].training
    for name, value in plain.state_dict().items():
        assert torch.equal(value, before[name])


def test_feature_width_of_a_module_that_takes_other_images() -> None:
    with pytest.raises(ValueError, match=r"images of shape \(1, 3, 16, 16\)"):
        feature_width(nn.Conv2d(1, 7, 3), image_size=16)


def test_bad_names_get_one_clear_sentence() -> None:
    with pytest.raises(ValueError, match="no backbone 'resnet19'. Did you mean 'resnet18'"):
        build_backbone("resnet19")
    with pytest.raises(ValueError, match="stem='large' is not known; choose 'imagenet' or 'small'"):
        build_backbone("resnet18", stem="large")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="stem='small' is for timm's ResNets.*not for 'resnet18d'"):
        build_backbone("resnet18d", stem="small")


def test_models_of_a_folder_or_the_hub_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = timm.create_model("test_vit", num_classes=0, img_size=32, patch_size=4)
    timm.models.save_for_hf(trained, str(tmp_path), model_args={"img_size": 32, "patch_size": 4})
    name = f"local-dir:{tmp_path}"
    model = build_backbone(name, image_size=32, pretrained=True)
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(model.eval()(images), trained.eval()(images))
    assert architecture(name) == "test_vit"
    assert create_arguments(name, image_size=64) == {"img_size": 64}

    def from_hub(place: str) -> tuple[dict[str, Any], str, dict[str, Any]]:
        if place == "some/body":
            return {}, "resnet18", {}
        raise ConnectionError("no network\nat all")

    monkeypatch.setattr(timm.models, "load_model_config_from_hf", from_hub)
    assert architecture("hf_hub:some/body") == architecture("hf-hub:some/body") == "resnet18"
    for absent in ("hf_hub:no/body", f"local-dir:{tmp_path / 'none'}"):
        with pytest.raises(
            ValueError, match="has no config.json that names one of timm's"
        ) as error:
            build_backbone(absent)
        assert "\n" not in str(error.value)

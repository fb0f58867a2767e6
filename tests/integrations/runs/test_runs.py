import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from PIL import Image

from df_heads import FeedForwardProjectionHead, TransformerProjectionHead, build_head
from df_heads.integrations.backbones import build_backbone
from df_heads.integrations.errors import InputError
from df_heads.integrations.runs import (
    BackboneConfig,
    ImagesConfig,
    Preprocessing,
    Run,
    RunConfig,
    load_backbone,
    load_head,
    read_run,
    save_weights,
    write_config,
)
from df_heads.integrations.runs.heads import build_described, describe_head

WIDTH = 512


@pytest.fixture
def config() -> RunConfig:
    return RunConfig(
        format=1,
        df_heads="0.1.0",
        method="simclr",
        method_options={"temperature": 0.2},
        backbone=BackboneConfig(name="resnet10t", image_size=32, options={"stem": "imagenet"}),
        head=describe_head(build_head("transformer-stable", WIDTH), "transformer-stable"),
        preprocessing=Preprocessing(image_size=32),
        images=ImagesConfig(
            folder="shapes", count=10, classes=["a", "b"], held_out=2, fingerprint="0" * 16
        ),
        recipe={"epochs": 3},
        finished=True,
        command="df-heads train shapes",
    )


def test_somebody_elses_head_is_refused() -> None:
    with pytest.raises(InputError, match="a Linear cannot be written down"):
        describe_head(torch.nn.Linear(2, 2))


@pytest.mark.parametrize(
    "head",
    [
        TransformerProjectionHead(16, 8, 4, num_heads=2, head_dim=4, input_norm="batch"),
        TransformerProjectionHead(16, 7, 7, form="paper", mlp_ratio=1.3, dropout=0.1),
        TransformerProjectionHead(16, sequence_length=4, attention="tied", norm_first=False),
        TransformerProjectionHead.large(16, residual_scale=0.5),
        FeedForwardProjectionHead.small(16, num_layers=2, batch_norm=False),
    ],
)
def test_a_described_head_is_the_same_head(head: Any) -> None:
    text = msgspec.json.encode(describe_head(head))
    again = build_described(msgspec.json.decode(text, type=type(describe_head(head))))
    assert str(again) == str(head)
    assert again.options == head.options
    again.load_state_dict(head.state_dict())
    x = torch.randn(6, 16)
    assert torch.equal(head.eval()(x), again.eval()(x))


def test_a_run_is_read_as_it_was_written(tmp_path: Path, config: RunConfig) -> None:
    written = write_config(tmp_path / "run", config)
    assert read_run(tmp_path / "run") == written == Run(tmp_path / "run", config)
    content = json.loads((tmp_path / "run" / "config.json").read_text())
    assert content["head"]["class"] == "TransformerProjectionHead"
    assert content["preprocessing"]["mean"] == [0.485, 0.456, 0.406]


def test_its_weights_come_back(tmp_path: Path, config: RunConfig) -> None:
    run = write_config(tmp_path, config)
    backbone = build_backbone("resnet10t", image_size=32)
    head = build_head("transformer-stable", WIDTH)
    save_weights(backbone, run.backbone_file)
    save_weights(head, run.head_file)
    before = torch.random.get_rng_state()
    module, preprocessing = load_backbone(tmp_path)
    assert torch.equal(before, torch.random.get_rng_state())
    assert not module.training
    images = preprocessing(np.random.default_rng(0).integers(0, 256, (2, 3, 40, 50), np.uint8))
    features = module(images)
    assert torch.equal(features, backbone.eval()(images))
    assert torch.equal(load_head(run)(features), head.eval()(features))


def test_what_is_no_run_is_said_in_one_sentence(tmp_path: Path, config: RunConfig) -> None:
    with pytest.raises(InputError, match="there is no run folder"):
        read_run(tmp_path / "none")
    with pytest.raises(InputError, match=r"it has no config\.json"):
        read_run(tmp_path)
    file = tmp_path / "config.json"
    for content in (b"{", b"\xff", b"[]", b'{"model_type": "bert"}', b'{"format": 1}'):
        file.write_bytes(content)
        with pytest.raises(InputError, match="is not what df-heads train wrote"):
            read_run(tmp_path)
        assert file.read_bytes() == content
    file.write_bytes(b'{"format": 2, "df_heads": "9"}')
    with pytest.raises(InputError, match="upgrade df-heads"):
        read_run(tmp_path)
    write_config(tmp_path, msgspec.structs.replace(config, finished=False))
    with pytest.raises(InputError, match="df-heads train shapes"):
        read_run(tmp_path)
    assert not read_run(tmp_path, unfinished=True).config.finished


def test_missing_and_damaged_weights_are_named(tmp_path: Path, config: RunConfig) -> None:
    run = write_config(tmp_path, config)
    with pytest.raises(InputError, match=r"backbone\.safetensors is missing"):
        load_backbone(run)
    run.head_file.write_bytes(b"0")
    with pytest.raises(InputError, match=r"head\.safetensors is damaged or of another run"):
        load_head(run)
    save_weights(build_head("feedforward", WIDTH), run.head_file)
    with pytest.raises(InputError, match=r"head\.safetensors is damaged or of another run"):
        load_head(run)


def test_preprocessing_keeps_what_its_rule_says() -> None:
    wide = np.zeros((20, 40, 3), np.uint8)
    wide[:, :10] = 255  # outside the central square
    image = Image.fromarray(wide)
    crop, stretch = Preprocessing(image_size=20), Preprocessing(image_size=20, resize="stretch")
    assert crop.pixels(image).max() == 0
    assert stretch.pixels(image)[:, :, :4].min() == 255
    assert "central 20 x 20" in str(crop)
    assert "not kept" in str(stretch)
    batch = torch.from_numpy(wide.transpose(2, 0, 1).copy())[None]
    for rule in (crop, stretch):
        assert torch.equal(rule(image), rule(batch)[0])
        torch.testing.assert_close(
            rule(image).amin((1, 2)), -torch.tensor(rule.mean) / torch.tensor(rule.std)
        )
    with pytest.raises(ValueError, match="for one picture pass a PIL image"):
        crop(torch.zeros(1, 3, 20, 20))


def test_a_photograph_is_turned_upright() -> None:
    sideways = Image.fromarray(np.array([[[255] * 3, [0] * 3]] * 2, np.uint8))
    sideways.getexif()[0x0112] = 6  # the camera was turned: rotate by 90 degrees clockwise
    pixels = Preprocessing(image_size=2).pixels(sideways)
    assert pixels[0].tolist() == [[255, 255], [0, 0]]

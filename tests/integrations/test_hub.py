import json
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from huggingface_hub import hub_mixin
from lightly.models.modules import SimCLRProjectionHead
from torch import nn

from df_heads import FeedForwardProjectionHead, TransformerProjectionHead
from df_heads.integrations import hub
from df_heads.integrations.choices import METHOD_CLASSES
from df_heads.integrations.errors import InputError
from df_heads.integrations.hub import load_backbone_weights, load_head, save_head
from df_heads.integrations.lightly import replace_projection_head

SMALL: dict[str, Any] = {
    "hidden_dim": 16,
    "output_dim": 8,
    "num_layers": 2,
    "num_heads": 2,
    "head_dim": 4,
}
METHODS: list[tuple[Any, dict[str, Any]]] = [
    (hub.SimCLR, {"temperature": 0.3, "stem": "imagenet"}),
    (hub.MoCo, {"queue_size": 24}),
    (hub.BYOL, {"prediction_hidden_dim": 12, "views": "joint"}),
    (hub.VICReg, {"nu_param": 0.5}),
    (hub.BarlowTwins, {"lambda_param": 0.01}),
    (hub.SimSiam, {"prediction_hidden_dim": 12}),
    (hub.NNCLR, {"queue_size": 24, "prediction_hidden_dim": 12}),
    (hub.SupCon, {"temperature": 0.3}),
    (hub.DINO, {"num_prototypes": 24}),
]


def tiny(method: Any, **options: Any) -> Any:
    torch.manual_seed(0)
    return method("test_resnet", "transformer-stable", head_options=SMALL, **options)


@pytest.fixture
def the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in place of the hub: repositories are folders in it."""
    place = tmp_path / "hub"

    class Api:
        def __init__(self, **_: Any) -> None:
            pass

        def create_repo(self, repo_id: str, **_: Any) -> Any:
            (place / repo_id).mkdir(parents=True)
            return type("Repo", (), {"repo_id": repo_id})

        def upload_folder(self, repo_id: str, folder_path: Path, **_: Any) -> None:
            for file in Path(folder_path).iterdir():
                (place / repo_id / file.name).write_bytes(file.read_bytes())

    def download(repo_id: str, filename: str, **_: Any) -> str:
        file = place / repo_id / filename
        if not file.is_file():
            raise ConnectionError(f"404 for {repo_id}\nand more")
        return str(file)

    monkeypatch.setattr(hub_mixin, "HfApi", Api)
    monkeypatch.setattr(hub_mixin, "hf_hub_download", download)
    monkeypatch.setattr(hub, "hf_hub_download", download)
    return place


def test_there_is_one_for_each_method() -> None:
    assert [method.__name__ for method, _ in METHODS] == list(METHOD_CLASSES.values())


@pytest.mark.parametrize(("method", "options"), METHODS)
def test_methods_come_back_as_they_were(
    method: Any, options: dict[str, Any], tmp_path: Path, the_hub: Path
) -> None:
    model = tiny(method, **options)
    model.save_pretrained(tmp_path / "folder")
    model.push_to_hub("some/body")
    names = {"README.md", "config.json", "model.safetensors"}
    assert {file.name for file in (tmp_path / "folder").iterdir()} == names
    assert {file.name for file in (the_hub / "some" / "body").iterdir()} == names
    card = (tmp_path / "folder" / "README.md").read_text()
    assert "library_name: df-heads" in card
    assert f"import {method.__name__}\n" in card
    for place in (tmp_path / "folder", "some/body"):
        again = method.from_pretrained(place)
        assert type(again) is method
        assert not again.training
        assert dict(again.hparams) == dict(model.hparams)
        for name, value in model.state_dict().items():
            assert torch.equal(again.state_dict()[name], value), name
    changed = method.from_pretrained(tmp_path / "folder", learning_rate=0.01)
    assert changed.learning_rate == 0.01


def test_they_are_the_methods_of_df_heads(tmp_path: Path) -> None:
    from df_heads.integrations import simclr

    model = tiny(hub.SimCLR, temperature=0.3)
    assert isinstance(model, simclr.SimCLR)
    plain = tiny(simclr.SimCLR, temperature=0.3)
    assert list(model.state_dict()) == list(plain.state_dict())
    torch.manual_seed(0)
    views = torch.randn(2, 4, 3, 32, 32)
    assert torch.equal(model.loss(list(views)), plain.loss(list(views)))


@pytest.mark.parametrize(
    "head",
    [
        TransformerProjectionHead(6, **SMALL, form="paper", norm_first=True, attention="tied"),
        hub.TransformerProjectionHead(6, **SMALL, residual_scale=0.5),
        FeedForwardProjectionHead(6, 12, 5, num_layers=3),
    ],
)
def test_heads_come_back_as_they_were(head: Any, tmp_path: Path, the_hub: Path) -> None:
    save_head(head, tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["class"] == type(head).__name__
    again: Any = load_head(tmp_path)
    assert again.options == head.options
    x = torch.randn(5, 6)
    assert torch.equal(again(x), head.eval()(x))
    again.push_to_hub("some/head")
    assert torch.equal(load_head("some/head")(x), again(x))
    assert torch.equal(getattr(hub, type(head).__name__).from_pretrained("some/head")(x), again(x))


def lightlys_example() -> nn.ModuleDict:
    """As examples/pytorch/simclr.py of lightly builds it, with the head swapped."""
    resnet = torchvision.models.resnet18()
    backbone = nn.Sequential(*list(resnet.children())[:-1])
    model = nn.ModuleDict({"backbone": backbone, "head": SimCLRProjectionHead(512, 512, 128)})
    replace_projection_head(model, num_layers=2, num_heads=2, head_dim=4)
    return model


def test_a_model_of_lightlys_examples_is_kept(tmp_path: Path, the_hub: Path) -> None:
    torch.manual_seed(0)
    model, fresh = lightlys_example(), lightlys_example()
    model["backbone"].to(memory_format=torch.channels_last)
    save_head(model["head"], tmp_path / "new", backbone=model["backbone"])
    again = load_head(tmp_path / "new")
    load_backbone_weights(fresh["backbone"], tmp_path / "new")
    x = torch.randn(3, 3, 32, 32)
    model.eval()
    fresh.eval()
    expected = model["head"](model["backbone"](x).flatten(1))
    torch.testing.assert_close(again(fresh["backbone"](x).flatten(1)), expected)


def test_tied_weights_are_kept(tmp_path: Path) -> None:
    def tied() -> nn.Sequential:
        layer = nn.Linear(6, 6)
        return nn.Sequential(layer, nn.ReLU(), layer)

    save_head(TransformerProjectionHead(6, **SMALL), tmp_path, backbone=(saved := tied()))
    load_backbone_weights(fresh := tied(), tmp_path)
    assert fresh[0] is fresh[2]
    assert torch.equal(fresh.state_dict()["0.weight"], saved.state_dict()["0.weight"])


def test_a_backbone_that_does_not_fit_is_refused(tmp_path: Path, the_hub: Path) -> None:
    head = TransformerProjectionHead(6, **SMALL)
    save_head(head, tmp_path / "alone")
    with pytest.raises(InputError, match=r"no backbone.safetensors; .* save_head wrote with backb"):
        load_backbone_weights(nn.Linear(6, 6), tmp_path / "alone")
    save_head(head, tmp_path / "both", backbone=nn.Linear(6, 6))
    with pytest.raises(InputError, match=r"do not fit this Linear.*; build the backbone as when"):
        load_backbone_weights(nn.Linear(6, 5), tmp_path / "both")

    class Strange(nn.Module):
        def get_extra_state(self) -> str:
            return "words"

    with pytest.raises(InputError, match="_extra_state of this Strange is a str, and safetensors"):
        save_head(head, tmp_path / "strange", backbone=Strange())


def test_bad_input_gets_one_sentence(tmp_path: Path, the_hub: Path) -> None:
    save_head(TransformerProjectionHead(6, **SMALL), tmp_path / "head")
    tiny(hub.SimCLR).save_pretrained(tmp_path / "model")
    (tmp_path / "other").mkdir()
    (tmp_path / "strange").mkdir()
    (tmp_path / "strange" / "config.json").write_text('{"architecture": "resnet18"}')
    for place, message in (
        ("other", "holds no config.json; give a folder that save_pretrained or save_head wrote"),
        ("strange", "was not written by df-heads' save_pretrained"),
        ("model", "holds a SimCLR, not a head; load it by SimCLR.from_pretrained"),
    ):
        with pytest.raises(InputError, match=message) as error:
            load_head(tmp_path / place)
        assert "\n" not in str(error.value)
    with pytest.raises(InputError, match="holds a TransformerProjectionHead, not a Feed"):
        hub.FeedForwardProjectionHead.from_pretrained(tmp_path / "head")
    with pytest.raises(InputError, match=r"hub did not give config.json .* \(ConnectionError: 404"):
        load_head("no/body")
    with pytest.raises(InputError, match="a Linear cannot be written down"):
        save_head(nn.Linear(2, 2), tmp_path / "new")
    assert not (tmp_path / "new").exists()
    weights = tmp_path / "head" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(InputError, match="model.safetensors is damaged, or not of what config"):
        load_head(tmp_path / "head")
    by_module = hub.SimCLR(nn.Flatten(), nn.Linear(3072, 4))
    with pytest.raises(InputError, match="the backbone of this SimCLR was given as a module"):
        by_module.save_pretrained(tmp_path / "mine")

"""solo-learn's own scripts, untouched, from the clone that SOLO_LEARN_DIR names."""

import os
import re
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

with warnings.catch_warnings():
    # solo-learn 1.0.6 uses names that timm and torch have moved since.
    warnings.simplefilter("ignore")
    pytest.importorskip("solo.methods", reason="solo-learn is not installed", exc_type=ImportError)
    from hydra import compose, initialize_config_dir, initialize_config_module
    from solo.args.linear import parse_cfg as parse_linear
    from solo.args.pretrain import parse_cfg as parse_pretrain
    from solo.methods import METHODS

    from df_heads.integrations.solo_learn import load_backbone, unregister

if "SOLO_LEARN_DIR" not in os.environ:
    pytest.skip(
        "SOLO_LEARN_DIR does not name a clone of solo-learn, which holds its scripts",
        allow_module_level=True,
    )
CLONE = Path(os.environ["SOLO_LEARN_DIR"]).resolve()
EXAMPLE = Path(__file__).parents[3] / "docs" / "solo-learn.md"

pytestmark = pytest.mark.filterwarnings("ignore")  # solo-learn and the Trainer it sets up


@pytest.fixture
def _unregistered() -> Iterator[None]:
    yield
    unregister()


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fewer than the five classes of its top-5 accuracy."""
    root = tmp_path_factory.mktemp("images")
    pixels = torch.randint(0, 256, (3, 16, 32, 32, 3), dtype=torch.uint8)
    for label in range(3):
        (root / str(label)).mkdir()
        for index in range(16):
            Image.fromarray(pixels[label, index].numpy()).save(root / f"{label}/{index}.png")
    return root


def run(*arguments: object, cwd: Path, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
        cwd=cwd,
        env=os.environ | environment,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def on_cpu(images: Path, devices: int = 1) -> list[str]:
    """Overrides of any of its configs: images of our own, on the CPU, for an epoch."""
    return [
        "wandb.enabled=False",
        "data.dataset=custom",
        f"data.train_path={images}",
        f"data.val_path={images}",
        "data.num_workers=0",
        "optimizer.batch_size=8",
        "max_epochs=1",
        "accelerator=cpu",
        f"devices='{devices}'",
        f"strategy={'ddp' if devices > 1 else 'auto'}",
        "sync_batchnorm=False",
        "precision=32",
    ]


@pytest.fixture(scope="module")
def pretrained(images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command of the example: two processes, the second started by Lightning."""
    folder = tmp_path_factory.mktemp("pretrained")
    run(
        CLONE / "main_pretrain.py",
        "--config-path",
        "scripts/pretrain/cifar",
        "--config-name",
        "simclr.yaml",
        "method=simclr_tph",
        "+head=tph_small",
        "name=simclr-tph-small-cifar10",
        *on_cpu(images, devices=2),
        "+method_kwargs.head.hidden_dim=32",
        "method_kwargs.head.views=joint",
        cwd=folder,
    )
    (checkpoint,) = folder.glob("trained_models/simclr_tph/*/simclr-tph-small-cifar10-*.ckpt")
    return checkpoint


@pytest.mark.slow
def test_pretraining_linear_evaluation_and_knn(
    pretrained: Path, images: Path, tmp_path: Path
) -> None:
    saved = torch.load(pretrained)
    assert saved["global_step"] == 3  # 48 images, 2 processes of 8
    assert saved["df_heads"]["head"]["views"] == "joint"
    assert saved["state_dict"]["projector.input.weight"].shape == (32, 512)
    backbone = load_backbone(pretrained, "resnet18")

    run(
        CLONE / "main_linear.py",
        "--config-name",
        "linear/cifar10/simclr_tph",
        f"pretrained_feature_extractor='{pretrained}'",  # Hydra: its name holds a "="
        *on_cpu(images),
        cwd=tmp_path,
    )
    (linear,) = tmp_path.glob("trained_models/linear/*/simclr-tph-small-cifar10-linear-*.ckpt")
    weights = torch.load(linear)["state_dict"]
    for name, weight in backbone.state_dict().items():
        if "running" not in name and "num_batches" not in name:
            assert torch.equal(weights[f"backbone.{name}"], weight), name

    said = run(
        *("-m", "df_heads.integrations.solo_learn", CLONE / "main_knn.py"),
        *("--dataset", "custom", "--train_data_path", images, "--val_data_path", images),
        *("--pretrained_checkpoint_dir", pretrained.parent, "--batch_size", 16),
        *("--num_workers", 0, "--k", 1, "--temperature", 0.2),
        *("--distance_function", "euclidean", "--feature_type", "backbone"),
        cwd=tmp_path,
    )
    # Each image is its own nearest neighbour: it was found among the training images.
    assert re.search(r"Result: acc@1=100\.0", said), said


TWO_RANKS = """
import torch
from lightning.pytorch import Trainer, seed_everything
from omegaconf import OmegaConf
from solo.methods import METHODS
from torch.utils.data import DataLoader

class Views(torch.utils.data.Dataset):
    def __len__(self): return 16
    def __getitem__(self, index):
        generator = torch.Generator().manual_seed(index)
        return index, list(torch.randn(2, 3, 32, 32, generator=generator)), index % 5

cfg = OmegaConf.create({
    "method": "byol_tph", "backbone": {"name": "resnet18"}, "max_epochs": 1,
    "method_kwargs": {"proj_hidden_dim": 32, "proj_output_dim": 24, "pred_hidden_dim": 32,
                      "head": {"hidden_dim": 16, "num_layers": 1, "views": "joint"}},
    "momentum": {"base_tau": 0.9},
    "data": {"dataset": "custom", "num_large_crops": 2, "num_small_crops": 0, "num_classes": 5},
    "optimizer": {"name": "sgd", "batch_size": 4, "lr": 0.1, "weight_decay": 0,
                  "classifier_lr": 0.1},
    "scheduler": {"name": "none"},
})
seed_everything(1)
model = METHODS["byol_tph"](cfg)
def total(module): return f"{sum(p.double().sum() for p in module.parameters()).item():.9f}"
before = total(model.projector)
trainer = Trainer(max_epochs=1, accelerator="cpu", devices=2, strategy="ddp", logger=False,
                  enable_checkpointing=False, enable_progress_bar=False)
trainer.fit(model, DataLoader(Views(), batch_size=4))
print(f"step {trainer.global_step} rank {trainer.global_rank} {before} {total(model.projector)} "
      f"{total(model.momentum_projector)}", flush=True)
"""


@pytest.mark.slow
def test_the_launcher_registers_in_every_process(tmp_path: Path) -> None:
    (tmp_path / "two_ranks.py").write_text(TWO_RANKS)
    said = run("-m", "df_heads.integrations.solo_learn", "two_ranks.py", cwd=tmp_path)
    number = r"(-?\d+\.\d{9})"  # the two processes may write into one line
    ranks = re.findall(rf"step 2 rank (\d) {number} {number} {number}", said)
    assert sorted(rank for rank, *_ in ranks) == ["0", "1"], said
    assert ranks[0][1:] == ranks[1][1:]
    assert len(set(ranks[0])) == 4  # training moved the head, and its teacher less


@pytest.mark.usefixtures("_unregistered")
@pytest.mark.parametrize("method", ["simclr", "mocov2plus", "byol"])
@pytest.mark.parametrize("dataset", ["cifar10", "cifar100"])
def test_the_ready_configs_compose_and_build(method: str, dataset: str) -> None:
    with initialize_config_dir(str(CLONE / "scripts/pretrain/cifar"), version_base="1.2"):
        base = compose(f"{method}.yaml", [f"data.dataset={dataset}"])
        cfg: Any = compose(f"pretrain/{dataset}/{method}_tph")
    assert cfg.method == f"{method}_tph"
    assert cfg.data.dataset == dataset
    assert {key: cfg[key] for key in ("optimizer", "augmentations", "scheduler")} == {
        key: base[key] for key in ("optimizer", "augmentations", "scheduler")
    }
    parsed = parse_pretrain(_open(cfg))
    model = METHODS[parsed.method](parsed)
    assert model.projector.hidden_dim == 128

    with initialize_config_module("df_heads.integrations.solo_learn.configs", version_base="1.2"):
        linear = compose(
            f"linear/{dataset}/{method}_tph", ["pretrained_feature_extractor=model.ckpt"]
        )
    assert parse_linear(_open(linear)).pretrain_method == f"{method}_tph"
    assert f"-{dataset}-" in linear.name


def _open(cfg: Any) -> Any:
    from omegaconf import OmegaConf

    OmegaConf.set_struct(cfg, False)
    return cfg


@pytest.mark.usefixtures("_unregistered")
@pytest.mark.parametrize(
    ("head", "expected"),
    [
        ("tph_small", "transformer-stable-small"),
        ("tph_large", "transformer-stable-large"),
        ("tph_self_small", "transformer-stable-self-small"),
        ("tph_self_large", "transformer-stable-self-large"),
        ("tph_paper_small", "transformer-small"),
        ("tph_paper_large", "transformer-large"),
        ("ffn_small", "feedforward-small"),
        ("ffn_large", "feedforward-large"),
    ],
)
def test_every_head_of_the_group_is_a_preset(head: str, expected: str) -> None:
    with initialize_config_dir(str(CLONE / "scripts/pretrain/cifar"), version_base="1.2"):
        cfg: Any = compose("byol", ["method=byol_tph", f"+head={head}"])
    checked = METHODS["byol_tph"].add_and_assert_specific_cfg(_open(cfg))
    assert checked.method_kwargs.head == {"name": expected, "views": "separate"}


def test_the_commands_of_the_example_are_those_tested_here() -> None:
    text = EXAMPLE.read_text(encoding="utf-8")
    for part in (
        "main_pretrain.py --config-path scripts/pretrain/cifar --config-name simclr.yaml",
        "method=simclr_tph +head=tph_small name=simclr-tph-small-cifar10",
        "main_linear.py --config-name linear/cifar10/simclr_tph",
        "-m df_heads.integrations.solo_learn main_knn.py",
    ):
        assert part in text.replace(" \\\n    ", " ")

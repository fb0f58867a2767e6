import csv
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from lightly.loss import NTXentLoss
from lightly.models.modules import MoCoProjectionHead, SimCLRProjectionHead
from lightly.models.utils import deactivate_requires_grad
from lightning_versions import WEIGHTS_ONLY
from pytorch_lightning import LightningDataModule, LightningModule, Trainer
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.loggers import CSVLogger, TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

from df_heads import FeedForwardProjectionHead, TransformerProjectionHead
from df_heads.evaluation import extract_features
from df_heads.fusion import measure_fusion, record_attention
from df_heads.integrations.byol import BYOL
from df_heads.integrations.callbacks import fusion_monitor
from df_heads.integrations.callbacks.fusion_monitor import FusionMonitor
from df_heads.integrations.lightly import replace_projection_head
from df_heads.integrations.moco import MoCo
from df_heads.integrations.simclr import SimCLR

LABELS = torch.arange(12) % 3
IMAGES = torch.randn(12, 3, 8, 8, generator=torch.Generator().manual_seed(0))
TINY: dict[str, Any] = {"num_layers": 2, "num_heads": 2, "head_dim": 4}


def tiny_backbone() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, stride=2), nn.BatchNorm2d(16), nn.ReLU(), nn.AdaptiveAvgPool2d(1)
    )


def tiny_head(**options: Any) -> TransformerProjectionHead:
    return TransformerProjectionHead(16, 8, 8, **{**TINY, **options})


def tiny_model(head: nn.Module | None = None) -> SimCLR:
    torch.manual_seed(0)
    return SimCLR(tiny_backbone(), head or tiny_head(), image_size=8, learning_rate=0.05)


class Views(Dataset[Any]):
    """Items as lightly's LightlyDataset with SimCLRTransform gives them."""

    def __len__(self) -> int:
        return 16

    def __getitem__(self, index: int) -> tuple[list[Tensor], int, str]:
        view = torch.randn(3, 8, 8, generator=torch.Generator().manual_seed(index))
        return [view, view + 0.1], index % 4, f"{index}.png"


@pytest.mark.parametrize("method", [SimCLR, MoCo, BYOL])
def test_measure_fusion_takes_our_methods_as_they_are(method: Any) -> None:
    torch.manual_seed(0)
    model = method(tiny_backbone(), tiny_head(form="paper"), image_size=8)
    features = extract_features(model.backbone, [IMAGES])
    assert measure_fusion(model, IMAGES, LABELS) == measure_fusion(
        model.projection_head, features, LABELS
    )


def views() -> DataLoader[Any]:
    return DataLoader(Views(), batch_size=8)


def trainer_of(monitor: Any, folder: Path, **options: Any) -> Trainer:
    return Trainer(
        **{
            "default_root_dir": folder,
            "max_epochs": 5,
            "accelerator": "cpu",
            "logger": False,
            "callbacks": [monitor],
            "enable_checkpointing": False,
            "enable_progress_bar": False,
            "enable_model_summary": False,
            "log_every_n_steps": 1,
            **options,
        }
    )


def fit(monitor: FusionMonitor, folder: Path, **options: Any) -> SimCLR:
    model = tiny_model()
    trainer_of(monitor, folder, **options).fit(model, views())
    return model


def test_it_measures_before_during_and_after_training(tmp_path: Path) -> None:
    monitor = FusionMonitor(IMAGES, LABELS, every_n_epochs=2)
    callbacks = [monitor, ModelCheckpoint(tmp_path, "last")]
    model = fit(monitor, tmp_path, callbacks=callbacks, enable_checkpointing=True)
    assert list(monitor.history) == [0, 2, 4, 5]
    # The last measurement comes before the last checkpoint is written.
    saved = torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert list(saved["callbacks"]["FusionMonitor"]["history"]) == [0, 2, 4, 5]

    def measured(model: SimCLR) -> Any:
        features = extract_features(model.backbone, [IMAGES])
        return measure_fusion(model.projection_head, features, LABELS)

    assert monitor.history[0] == measured(tiny_model())
    assert monitor.history[5] == measured(model)
    assert monitor.history[0] != monitor.history[5]


def test_a_run_that_ends_early_is_measured_at_its_end(tmp_path: Path) -> None:
    monitor = FusionMonitor(IMAGES, LABELS, every_n_epochs=2)
    fit(monitor, tmp_path, max_epochs=-1, max_steps=6)
    assert list(monitor.history) == [0, 2, 3]


@pytest.mark.filterwarnings("ignore:.*no `validation_step`.*")
def test_training_is_as_without_it(tmp_path: Path) -> None:
    class Random(SimCLR):
        one: Tensor

        def training_step(self, batch: Any, batch_idx: int) -> Tensor:
            assert all(module.training for module in self.modules())
            return super().training_step(batch, batch_idx) + torch.rand(()) * self.one.sum()

    def trained(callbacks: list[Any]) -> dict[str, Tensor]:
        torch.manual_seed(0)
        model = Random(tiny_backbone(), tiny_head(dropout=0.2), image_size=8, learning_rate=0.05)
        model.one = model.get_parameter("projection_head.input.bias")
        loader = DataLoader(Views(), batch_size=8, shuffle=True)
        trainer = trainer_of(None, tmp_path, callbacks=callbacks, max_epochs=2)
        trainer.fit(model, loader, DataLoader(TensorDataset(IMAGES, LABELS)))
        return {**model.state_dict(), "next": torch.rand(3)}

    expected = trained([])
    for batch in ((IMAGES, LABELS), (None, None)):
        found = trained([FusionMonitor(*batch, every_n_epochs=1)])
        assert all(torch.equal(found[name], value) for name, value in expected.items())


def test_scalars_reach_the_csv_and_undefined_ones_are_left_out(tmp_path: Path) -> None:
    monitor = FusionMonitor(IMAGES, LABELS, every_n_epochs=3)
    logger = CSVLogger(tmp_path, name="", version="")
    fit(monitor, tmp_path, logger=logger, max_epochs=3)
    with (tmp_path / "metrics.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["fusion/epoch"]]
    assert [float(row["fusion/epoch"]) for row in rows] == [0, 3]
    assert [int(row["step"]) for row in rows] == [0, 6]
    for row, summary in zip(rows, monitor.history.values(), strict=True):
        assert float(row["fusion/chance"]) == summary.chance
        assert float(row["fusion/input/silhouette"]) == summary.input_silhouette
        for number, layer in enumerate(summary.layers, start=1):
            name = f"fusion/layer{number}/"
            for key in ("same_class_mass", "own_mass", "sharpness", "entropy"):
                mean = sum(getattr(layer, key)) / 2
                assert float(row[name + key]) == pytest.approx(mean)
            assert float(row[name + "silhouette"]) == layer.silhouette
            assert float(row[name + "neighbor_purity"]) == layer.neighbor_purity

    alone = FusionMonitor(IMAGES, LABELS)
    logger = CSVLogger(tmp_path / "self", name="", version="")
    trainer_of(alone, tmp_path, logger=logger, max_epochs=1).fit(
        tiny_model(tiny_head(attention="self")), views()
    )
    header = (tmp_path / "self" / "metrics.csv").read_text().splitlines()[0]
    assert "own_mass" in header
    assert "same_class_mass" not in header
    assert alone.history[1].layers[0].same_class_mass == [None, None]


@pytest.mark.parametrize("has_matplotlib", [True, False])
def test_tensorboard_gets_scalars_and_the_figure(
    has_matplotlib: bool, tmp_path: Path, monkeypatch: Any
) -> None:
    monitor = FusionMonitor(IMAGES, LABELS, every_n_epochs=1)
    logger = TensorBoardLogger(tmp_path, name="", version="")
    if has_matplotlib:
        fit(monitor, tmp_path, logger=logger, max_epochs=2)
    else:
        monkeypatch.setitem(sys.modules, "matplotlib", None)
        monkeypatch.setattr(fusion_monitor, "find_spec", lambda name: None)
        with pytest.warns(UserWarning, match="draws no figures: pip install matplotlib") as record:
            fit(monitor, tmp_path, logger=logger, max_epochs=2)
        assert sum("matplotlib" in str(warning.message) for warning in record) == 1
    events = EventAccumulator(str(tmp_path), size_guidance={"images": 0}).Reload()
    expected = monitor.history[2].layers[1].same_class_mass
    masses = events.Scalars("fusion/layer2/same_class_mass")
    assert [event.step for event in masses] == [0, 2, 4]
    assert masses[-1].value == pytest.approx(sum(mass or 0.0 for mass in expected) / 2)
    figures = events.Tags()["images"]
    assert figures == (["fusion/same_class_mass"] if has_matplotlib else [])
    if has_matplotlib:
        assert [event.step for event in events.Images(figures[0])] == [0, 2, 4]


def sorted_set(*sizes: int) -> TensorDataset:
    labels = torch.cat([torch.full((size,), k) for k, size in enumerate(sizes)])
    return TensorDataset(torch.randn(len(labels), 3, 8, 8) + labels[:, None, None, None], labels)


class Data(LightningDataModule):
    def __init__(self, loaders: Any) -> None:
        super().__init__()
        self.loaders = loaders

    def train_dataloader(self) -> DataLoader[Any]:
        return views()

    def val_dataloader(self) -> Any:
        return self.loaders


@pytest.mark.filterwarnings("ignore:.*no `validation_step`.*")
@pytest.mark.parametrize("given", ["datamodule", "trainer"])
def test_the_batch_is_drawn_from_the_validation_set_once(given: str, tmp_path: Path) -> None:
    loader = DataLoader(sorted_set(60, 1, 60), batch_size=7)

    def drawn() -> tuple[Tensor, Tensor]:
        monitor = FusionMonitor(num_samples=121, every_n_epochs=1)
        trainer = trainer_of(monitor, tmp_path, max_epochs=2)
        if given == "datamodule":
            trainer.fit(tiny_model(), datamodule=Data([loader, loader]))
        else:
            trainer.fit(tiny_model(), views(), loader)
        assert list(monitor.history) == [0, 1, 2]
        assert monitor.batch is not None
        return monitor.batch

    images, labels = drawn()
    # Of 121 the one image of class 1 is left out.
    assert labels.bincount().tolist() == [60, 0, 60]
    assert torch.equal(images.mean((1, 2, 3)).round().long(), labels)
    again = drawn()
    assert torch.equal(again[0], images)
    assert torch.equal(again[1], labels)


@pytest.mark.filterwarnings("ignore:.*no `validation_step`.*")
@pytest.mark.parametrize(
    ("loaders", "message"),
    [
        ([], "There is no validation DataLoader .* pass images and labels"),
        (views(), r"does not give batches of \(images, labels, ...\) as tensors"),
        (
            DataLoader(sorted_set(30, 1)),
            r"31 validation images drawn hold 1 class\(es\) with 2 images .* raise num_samples",
        ),
    ],
)
def test_a_validation_set_that_cannot_be_used_says_why(
    loaders: Any, message: str, tmp_path: Path
) -> None:
    trainer = trainer_of(FusionMonitor(), tmp_path)
    with pytest.raises(ValueError, match=message):
        trainer.fit(tiny_model(), datamodule=Data(loaders))


def test_without_any_validation_set_it_asks_for_a_batch(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no validation DataLoader .* pass images and labels"):
        trainer_of(FusionMonitor(), tmp_path).fit(tiny_model(), views())


def test_values_that_are_not_finite_warn_once_and_training_goes_on(tmp_path: Path) -> None:
    class Diverges(FusionMonitor):
        def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
            if trainer.current_epoch == 1:
                weight = pl_module.get_parameter("projection_head.blocks.1.mlp.0.weight")
                weight.data.fill_(torch.inf)

    monitor = Diverges(IMAGES, LABELS, every_n_epochs=1)
    with pytest.warns(UserWarning, match="FusionMonitor has no measures after epoch 2: ") as record:
        # Not one of ours, which stop where a loss is not finite.
        trainer_of(monitor, tmp_path).fit(LightlySimCLR(tiny_head()), views())
    assert sum("FusionMonitor" in str(warning.message) for warning in record) == 1
    assert list(monitor.history) == [0, 1]


# Dynamo looks at the .grad of the head's input itself.
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")
def test_a_compiled_head_gives_the_same(tmp_path: Path) -> None:
    plain, compiled = (FusionMonitor(IMAGES, LABELS, every_n_epochs=1) for _ in range(2))
    fit(plain, tmp_path, max_epochs=1)
    model: Any = tiny_model()
    model.projection_head = torch.compile(model.projection_head, backend="eager")
    trainer_of(compiled, tmp_path, max_epochs=1).fit(model, views())
    for epoch, summary in plain.history.items():
        found = compiled.history[epoch]
        assert found.layers[1].same_class_mass == pytest.approx(
            summary.layers[1].same_class_mass, rel=1e-3
        )


def test_only_the_first_process_measures(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(Trainer, "is_global_zero", property(lambda trainer: False))
    monitor = FusionMonitor(every_n_epochs=1)
    fit(monitor, tmp_path, max_epochs=1)
    assert monitor.history == {}


def test_the_history_survives_a_resume(tmp_path: Path) -> None:
    first = FusionMonitor(IMAGES, LABELS, every_n_epochs=1)
    trainer = trainer_of(first, tmp_path, max_epochs=2)
    trainer.fit(LightlySimCLR(tiny_head()), views())
    trainer.save_checkpoint(tmp_path / "model.ckpt")
    second = FusionMonitor(IMAGES, LABELS, every_n_epochs=1)
    trainer_of(second, tmp_path, max_epochs=3).fit(
        LightlySimCLR(tiny_head()), views(), ckpt_path=tmp_path / "model.ckpt", **WEIGHTS_ONLY
    )
    assert list(second.history) == [0, 1, 2, 3]
    assert {epoch: second.history[epoch] for epoch in (0, 1, 2)} == first.history


class LightlySimCLR(LightningModule):
    """lightly's example: forward() runs backbone and head."""

    def __init__(self, head: nn.Module) -> None:
        super().__init__()
        self.backbone = tiny_backbone()
        self.projection_head = head
        self.criterion = NTXentLoss()

    def forward(self, x: Tensor) -> Tensor:
        return self.projection_head(self.backbone(x).flatten(start_dim=1))

    def training_step(self, batch: Any, batch_index: int) -> Tensor:
        (x0, x1), _, _ = batch
        return self.criterion(self.forward(x0), self.forward(x1))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.01)


class LightlyMoCo(LightlySimCLR):
    """With a teacher, as in lightly's MoCo example."""

    def __init__(self) -> None:
        super().__init__(MoCoProjectionHead(16, 16, 8))
        self.projection_head_momentum = MoCoProjectionHead(16, 16, 8)
        deactivate_requires_grad(self.projection_head_momentum)


@pytest.mark.parametrize(
    "build", [lambda: LightlySimCLR(SimCLRProjectionHead(16, 16, 8)), LightlyMoCo]
)
def test_a_lightly_model_with_a_swapped_head(build: Any, tmp_path: Path) -> None:
    model = build()
    replace_projection_head(model, hidden_dim=8, **TINY)
    with record_attention(model.projection_head) as maps:
        model(IMAGES)
    assert maps[1].shape == (1, 2, 12, 12)
    whole = measure_fusion(model, IMAGES, LABELS)

    monitor = FusionMonitor(IMAGES, LABELS)
    trainer_of(monitor, tmp_path, max_epochs=1).fit(model, views())
    assert monitor.history[0] == whole
    assert monitor.history[1] == measure_fusion(model, IMAGES, LABELS)


def test_a_module_of_another_shape_names_its_head_and_features(tmp_path: Path) -> None:
    class Other(LightlySimCLR):
        backbone: Any

        def __init__(self) -> None:
            super().__init__(tiny_head())
            self.encoder, self.backbone = self.backbone, None
            self.predictor = tiny_head()

        def forward(self, x: Tensor) -> Tensor:
            return self.projection_head(self.encoder(x).flatten(start_dim=1))

    def fit_other(**options: Any) -> FusionMonitor:
        monitor = FusionMonitor(IMAGES, LABELS, **options)
        trainer_of(monitor, tmp_path, max_epochs=1).fit(Other(), views())
        return monitor

    with pytest.raises(ValueError, match="Other holds 2 Transformer projection heads"):
        fit_other()
    with pytest.raises(ValueError, match="head='nowhere' is not in Other"):
        fit_other(head="nowhere")
    with pytest.raises(ValueError, match="Other has no backbone; give FusionMonitor a function"):
        fit_other(head="projection_head")
    monitor = fit_other(
        head="projection_head", features=lambda module, images: module.encoder(images).flatten(1)
    )
    assert list(monitor.history) == [0, 1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"labels": LABELS[:5]}, "labels has 5 entries but images has 12 rows"),
        ({"labels": LABELS * 0}, r"labels holds 1 class\(es\) but at least 2 are needed"),
        ({"labels": LABELS.clamp(max=1).index_fill(0, torch.tensor(0), 5)}, "class 5 has 1 sample"),
        ({"images": None}, "images is missing; pass images and labels, or neither"),
        ({"labels": None}, "labels is missing; pass images and labels, or neither"),
        ({"every_n_epochs": 0}, "every_n_epochs must be an integer of at least 1, got 0"),
        ({"num_samples": 0}, "num_samples must be an integer of at least 1, got 0"),
    ],
)
def test_bad_arguments_get_one_clear_sentence(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FusionMonitor(**{"images": IMAGES, "labels": LABELS, **options})


@pytest.mark.parametrize(
    ("head", "options", "message"),
    [
        (FeedForwardProjectionHead(16, 8, 8), {}, "SimCLR holds 0 Transformer projection heads"),
        (
            tiny_head(),
            {"max_gib": 1e-6},
            "would take 1.07e-06 GiB per layer, .* pass a subset of 11 samples",
        ),
        (tiny_head(sequence_length=6), {}, "pass 6 samples or fewer"),
    ],
)
def test_what_cannot_be_measured_is_refused_before_the_first_step(
    head: nn.Module, options: dict[str, Any], message: str, tmp_path: Path
) -> None:
    trainer = trainer_of(FusionMonitor(IMAGES, LABELS, **options), tmp_path)
    with pytest.raises(ValueError, match=message):
        trainer.fit(tiny_model(head), views())
    assert trainer.global_step == 0


def test_half_precision_is_followed(tmp_path: Path) -> None:
    monitor = FusionMonitor(IMAGES, LABELS)
    fit(monitor, tmp_path, precision="bf16-mixed", max_epochs=1)
    full = FusionMonitor(IMAGES, LABELS)
    fit(full, tmp_path, max_epochs=1)
    mine, exact = monitor.history[0].layers[1], full.history[0].layers[1]
    assert mine.same_class_mass != exact.same_class_mass
    assert mine.same_class_mass == pytest.approx(exact.same_class_mass, abs=1e-2)

import math
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from pytorch_lightning import LightningModule
from sklearn.neighbors import KNeighborsClassifier
from torch import Tensor, nn
from torch.utils.data import DataLoader

from df_heads import TransformerProjectionHead
from df_heads.collapse import rank_me
from df_heads.evaluation import extract_features
from df_heads.integrations.byol import BYOL
from df_heads.integrations.callbacks.collapse_monitor import CollapseMonitor
from df_heads.integrations.callbacks.online_knn import OnlineKNN
from df_heads.integrations.moco import MoCo
from df_heads.integrations.simclr import SimCLR

Make = Callable[..., Any]
IMAGES = torch.randn(40, 3, 16, 16, generator=torch.Generator().manual_seed(3))
LABELS = torch.arange(40) % 3


def leave_one_out(features: Tensor, labels: Tensor, k: int) -> float:
    """By scikit-learn, one image at a time."""
    right = 0
    for i in range(len(features)):
        others = torch.arange(len(features)) != i
        knn = KNeighborsClassifier(k, metric="cosine")
        knn.fit(features[others].double().numpy(), labels[others].numpy())
        right += int(knn.predict(features[i : i + 1].double().numpy())[0] == labels[i])
    return right / len(features)


@pytest.mark.parametrize("method", [SimCLR, MoCo, BYOL])
def test_it_watches_our_methods_and_changes_nothing(
    method: Any, tiny: Make, quick_trainer: Make, loader: Make
) -> None:
    states = []
    knn = OnlineKNN(num_samples=48)
    for callbacks in ([], [knn, CollapseMonitor()]):
        torch.manual_seed(0)
        head = TransformerProjectionHead(16, 8, 8, num_layers=2, num_heads=2, head_dim=4)
        model = tiny(method, head=head)
        trainer = quick_trainer(max_epochs=3, callbacks=callbacks)
        trainer.fit(model, loader())
        states.append(model.state_dict())
    for name, value in states[0].items():
        assert torch.equal(value, states[1][name]), name
    found = knn.history
    assert list(found) == ["knn_accuracy"]
    assert list(found["knn_accuracy"]) == [1, 2, 3]
    assert trainer.callback_metrics["knn_accuracy"] == pytest.approx(found["knn_accuracy"][3])
    assert not model.backbone._forward_hooks


class LikeLightly(LightningModule):
    """As lightly's Lightning examples are written; its backbone hands its input on."""

    def __init__(self, name: str = "backbone", runs: bool = True) -> None:
        super().__init__()
        self.add_module(name, nn.Flatten())
        self.head = nn.Linear(3 * 16 * 16, 5)
        self.name, self.runs = name, runs

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        views = batch[1] if isinstance(batch[0], Tensor) and batch[0].dim() == 1 else batch[0]
        encode = getattr(self, self.name) if self.runs else torch.nn.functional.normalize
        losses = [self.head(encode(view).flatten(1)).square().mean() for view in views]
        loss: Tensor = torch.stack(losses).sum()
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=1e-3)


def batches(kind: str) -> Any:
    """Of 16 images of 4 classes; the second view says nothing of the first."""
    rows = torch.arange(64).reshape(4, 16)
    classes = torch.eye(4)[rows % 4]
    views = [torch.randn(16, 3, 16, 16, generator=torch.Generator().manual_seed(i)) for i in (0, 1)]
    made: Any = []
    for numbers, hot in zip(rows, classes, strict=True):
        first = 0.1 * views[0]
        first[:, :, 0, :4] += 20 * hot[:, None]
        pair = [first, views[1]]
        names = [str(n) for n in numbers.tolist()]
        made.append(
            {
                "lightly": (pair, numbers % 4, names),
                "solo-learn": [numbers, pair, numbers % 4],
                "one class": (pair, numbers * 0, names),
                "indices only": [numbers, pair],
                "views only": (pair, 0),
                "scores": (pair, (numbers % 4).double()),
            }[kind]
        )
    return DataLoader(made, batch_size=None)


@pytest.mark.parametrize("kind", ["lightly", "solo-learn"])
@pytest.mark.parametrize("name", ["backbone", "student_backbone", "my_encoder"])
def test_batches_of_others_with_labels(kind: str, name: str, quick_trainer: Make) -> None:
    monitor = OnlineKNN(backbone=name if name == "my_encoder" else None)
    quick_trainer(callbacks=[monitor]).fit(LikeLightly(name), batches(kind))
    # The classes are plain in the first view and absent from the second.
    assert monitor.history == {"knn_accuracy": {1: 1.0, 2: 1.0}}


@pytest.mark.parametrize("kind", ["one class", "indices only", "views only", "scores"])
def test_without_labels_it_gives_rank_me(kind: str, quick_trainer: Make) -> None:
    monitor = OnlineKNN(num_samples=20)
    data = batches(kind)
    trainer = quick_trainer(callbacks=[monitor])
    trainer.fit(LikeLightly(), data)
    first = [batch[1][0] if kind == "indices only" else batch[0][0] for batch in data]
    expected = float(rank_me(torch.cat(first).flatten(1)[-20:]))
    assert monitor.history == {"rank_me": {1: pytest.approx(expected), 2: pytest.approx(expected)}}
    assert trainer.callback_metrics["rank_me"] == pytest.approx(expected)


@pytest.mark.parametrize("labels", [LABELS, None])
def test_images_are_measured_in_evaluation_mode(
    labels: Tensor | None, tiny: Make, quick_trainer: Make, loader: Make
) -> None:
    model = tiny(SimCLR)
    monitor = OnlineKNN(IMAGES, labels, every_n_epochs=2, k=4)
    quick_trainer(max_epochs=3, callbacks=[monitor]).fit(model, loader())
    features = extract_features(model.backbone, [IMAGES])
    if labels is None:
        assert list(monitor.history["rank_me"]) == [2, 3]
        assert monitor.history["rank_me"][3] == pytest.approx(float(rank_me(features)), rel=1e-4)
    else:
        assert list(monitor.history["knn_accuracy"]) == [2, 3]
        assert monitor.history["knn_accuracy"][3] == leave_one_out(features, labels, 4)
    assert all(module.training for module in model.modules())


def test_the_history_is_in_checkpoints(quick_trainer: Make) -> None:
    monitor, again = OnlineKNN(), OnlineKNN()
    trainer = quick_trainer(callbacks=[monitor])
    trainer.fit(LikeLightly(), batches("lightly"))
    path = f"{trainer.default_root_dir}/some.ckpt"
    trainer.save_checkpoint(path)
    before = dict(monitor.history["knn_accuracy"])
    model = LikeLightly()
    quick_trainer(max_epochs=3, callbacks=[again]).fit(model, batches("lightly"), ckpt_path=path)
    assert list(again.history["knn_accuracy"]) == [1, 2, 3]
    assert {e: again.history["knn_accuracy"][e] for e in before} == before


def test_features_that_are_not_finite_are_nan(quick_trainer: Make) -> None:
    class Broken(nn.Flatten):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x) * math.nan

    model = LikeLightly()
    model.backbone = Broken()
    monitor = OnlineKNN()
    quick_trainer(max_epochs=1, callbacks=[monitor]).fit(model, batches("lightly"))
    assert math.isnan(monitor.history["knn_accuracy"][1])


def test_a_backbone_that_is_not_called_is_said_once(quick_trainer: Make) -> None:
    with pytest.warns(UserWarning, match="saw no features of two images") as caught:
        quick_trainer(callbacks=[OnlineKNN()]).fit(LikeLightly(runs=False), batches("lightly"))
    assert sum("saw no features" in str(w.message) for w in caught) == 1


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((), {"k": 0}, "k must be an integer of at least 1, got 0"),
        ((), {"every_n_epochs": 0}, "every_n_epochs must be an integer of at least 1"),
        ((), {"num_samples": 1}, "num_samples=1 must be at least 2; 512 is the default"),
        ((None, LABELS), {}, "labels need the images that they belong to"),
        ((IMAGES[:1],), {}, r"images has shape \(1, 3, 16, 16\) but must be \(N, 3, H, W\)"),
        ((IMAGES, LABELS[:5]), {}, "labels has 5 entries but images has 40"),
    ],
)
def test_bad_arguments_get_one_clear_sentence(arguments: Any, options: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        OnlineKNN(*arguments, **options)


def test_bad_modules_get_one_clear_sentence(quick_trainer: Make) -> None:
    with pytest.raises(ValueError, match="LikeLightly has no backbone that OnlineKNN knows; pass"):
        quick_trainer(callbacks=[OnlineKNN()]).fit(LikeLightly("mine"), batches("lightly"))
    monitor = OnlineKNN(backbone="nowhere")
    with pytest.raises(ValueError, match="LikeLightly has no module 'nowhere'; pass the name"):
        quick_trainer(callbacks=[monitor]).fit(LikeLightly(), batches("lightly"))
    model = LikeLightly()
    model.backbone = nn.Identity()
    monitor = OnlineKNN()
    with pytest.raises(ValueError, match=r"backbone gave \(16, 3, 16, 16\), not one vector per"):
        quick_trainer(callbacks=[monitor]).fit(model, batches("lightly"))
    assert not model.backbone._forward_hooks
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        quick_trainer().fit(model, batches("lightly"))

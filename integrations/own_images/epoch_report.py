"""What is said and written after every epoch: loss, quality of the features, learning rate."""

import csv
import io
import math
from collections.abc import Callable
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor
from tqdm import tqdm

from df_heads.evaluation import extract_features
from df_heads.integrations.callbacks.online_knn import CHUNK, OnlineKNN, measure_features
from df_heads.integrations.files.atomic import write_whole
from df_heads.integrations.runs import Run, save_weights
from df_heads.integrations.training.callbacks import TrainingCurve

#: OnlineKNN's names, and what they are called in the curve and to the reader.
COLUMNS = {"knn_accuracy": "knn", "rank_me": "rank_me"}
#: Of a line about an epoch, up to the quality of the features, without the epochs' numbers.
_WIDTH = len("epoch /  loss 0000000   ")


def in_words(metric: str, value: float) -> str:
    """A number of the features as people read it: "kNN 71.5 %" or "RankMe 12.3"."""
    return f"kNN {value:.1%}" if metric == "knn" else f"RankMe {value:.1f}"


class EpochReport(Callback):
    """A line after every epoch, the curve as a file, and the weights now and then.

    Comes after the two callbacks that it reads.

    Args:
        run: Where to write.
        curve: Has the loss and the learning rate.
        knn: Has the quality of the features.
        say: Gets the lines.
        weights_every: Epochs from one writing of the weights to the next.

    Attributes:
        metric: "knn" or "rank_me", known once training starts.
        untrained: Of the features before training.
        rows: The lines of the curve.
    """

    def __init__(
        self,
        run: Run,
        curve: TrainingCurve,
        knn: OnlineKNN,
        say: Callable[[str], object],
        weights_every: int,
    ) -> None:
        self.run = run
        self.curve = curve
        self.knn = knn
        self.say = say
        self.weights_every = weights_every
        self.metric = ""
        self.untrained = math.nan
        self.rows: list[dict[str, float]] = []

    @property
    def trained(self) -> float:
        """Of the features after the last epoch."""
        return self.rows[-1][self.metric] if self.rows else self.untrained

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Measure the features before the first step."""
        if not self.metric:
            assert isinstance(self.knn.images, Tensor)
            chunks = torch.split(self.knn.images, CHUNK)
            features = extract_features(pl_module, chunks)
            name, self.untrained = measure_features(features, self.knn.labels, self.knn.k)
            self.metric = COLUMNS[name]
            words = "untrained".ljust(_WIDTH + 2 * len(str(trainer.max_epochs)))
            self.say(f"{words}{in_words(self.metric, self.untrained)}")

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Say and write this epoch."""
        row, epoch = self.curve.rows[-1], trainer.current_epoch + 1
        ((_, history),) = self.knn.history.items()
        self.rows.append(
            {
                "epoch": epoch,
                "loss": row["train_loss"],
                self.metric: history[epoch],
                "learning_rate": row["learning_rate"],
                "seconds": row["seconds"],
            }
        )
        width = len(str(trainer.max_epochs))
        self.say(
            f"epoch {epoch:{width}}/{trainer.max_epochs}  loss {row['train_loss']:7.4f}   "
            f"{in_words(self.metric, history[epoch]):10}   "
            f"learning rate {row['learning_rate']:.2e}"
        )
        self._write_curve()
        if epoch % self.weights_every == 0:
            self.write_weights(pl_module)

    def write_weights(self, pl_module: LightningModule) -> None:
        """Write backbone and head as they are now."""
        for module, file in (
            (pl_module.backbone, self.run.backbone_file),
            (pl_module.projection_head, self.run.head_file),
        ):
            assert isinstance(module, torch.nn.Module)
            save_weights(module, file)

    def _write_curve(self) -> None:
        content = io.StringIO(newline="")
        columns = ["epoch", "loss", self.metric, "learning_rate", "seconds"]
        writer = csv.DictWriter(content, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        write_whole(self.run.curve_file, lambda file: file.write(content.getvalue().encode()))

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run goes on with, for the checkpoint."""
        return {"metric": self.metric, "untrained": self.untrained, "rows": list(self.rows)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up the lines of the interrupted run."""
        self.metric, self.untrained = state_dict["metric"], state_dict["untrained"]
        self.rows = list(state_dict["rows"])


def say_beside_a_bar(line: str) -> None:
    """Print a line to stdout, above the progress bar if one is shown."""
    tqdm.write(line)

"""What a run logs, as a CSV file that survives being killed and resumed."""

import csv
import io
from pathlib import Path
from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer

from df_heads.integrations.files.atomic import write_whole

Row = dict[str, str]
_FIRST = ("epoch", "step")


class MetricsFile(Callback):
    """Writes the loss of every n-th step, and whatever else is logged at the end of an epoch.

    Lightning's CSVLogger deletes the file when a run is resumed. Here a resumed run keeps the rows
    up to its checkpoint and writes the others again, so that the file of a run is the same however
    often it was interrupted.

    Args:
        file: Made with its folder when the run starts.
        every_n_steps: Steps from one row to the next.
    """

    def __init__(self, file: Path, every_n_steps: int) -> None:
        self.file = file
        self.every_n_steps = every_n_steps
        self._columns: list[str] = []

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keep the rows of the steps before the checkpoint."""
        if not trainer.is_global_zero:
            return
        self.file.parent.mkdir(parents=True, exist_ok=True)
        self._write([row for row in self._rows() if int(row["step"]) < trainer.global_step])

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Write the loss of this step, if it is one of those to be written."""
        if trainer.global_step % self.every_n_steps == 0:
            self._append(trainer, {"train_loss_step": repr(float(outputs["loss"]))})

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write what was logged for the whole epoch."""
        logged = trainer.callback_metrics
        names = [n for n in logged if f"{n}_epoch" not in logged and not n.endswith("_step")]
        self._append(trainer, {name: repr(float(logged[name])) for name in names})

    def _append(self, trainer: Trainer, values: Row) -> None:
        if not trainer.is_global_zero:
            return
        step = trainer.global_step - 1  # from 0, as Lightning's loggers count
        row = {"epoch": str(trainer.current_epoch), "step": str(step), **values}
        if set(row) <= set(self._columns):
            with self.file.open("a", encoding="utf-8", newline="") as stream:
                self._writer(stream).writerow(row)
        else:
            self._write([*self._rows(), row])

    def _rows(self) -> list[Row]:
        """The rows of the file, but for a last one that a full disk cut off."""
        if not self.file.exists():
            return []
        text = self.file.read_text(encoding="utf-8", errors="replace")
        complete = text[: text.rfind("\n") + 1]
        rows = csv.DictReader(io.StringIO(complete))
        return [row for row in rows if (row.get("step") or "").isdecimal() and None not in row]

    def _write(self, rows: list[Row]) -> None:
        names = {name for row in rows for name in row if name not in _FIRST}
        self._columns = [*_FIRST, *sorted(names)]
        content = io.StringIO(newline="")
        writer = self._writer(content)
        writer.writeheader()
        writer.writerows(rows)
        write_whole(self.file, lambda stream: stream.write(content.getvalue().encode()))

    def _writer(self, stream: Any) -> "csv.DictWriter[str]":
        return csv.DictWriter(stream, self._columns, lineterminator="\n")

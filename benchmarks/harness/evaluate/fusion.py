"""What Table 1 shows of a run: its attention maps and measures at several epochs."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from df_heads.benchmarks.harness.base.errors import InputError
from df_heads.benchmarks.harness.base.experiment import Experiment
from df_heads.benchmarks.harness.evaluate.evaluation import Evaluation, FinishedRun
from df_heads.benchmarks.harness.store.results import ResultFolder
from df_heads.benchmarks.harness.store.schema import FusionResult, Stored

if TYPE_CHECKING:
    from df_heads.benchmarks.harness.evaluate.fusing import FusionMaps

EPOCHS = (0, 1, 5, 20, 50, 200)


@dataclass(frozen=True)
class Fusion(Evaluation):
    """The measures over all layers at the epochs of `EPOCHS`, and the maps after the last one."""

    kind: ClassVar[type[Stored]] = FusionResult

    @property
    def name(self) -> str:
        """In a word."""
        return "fusion"

    def file(self, experiment: Experiment) -> str:
        """The measures; the maps are beside them, see fusing.maps_file."""
        return f"{experiment.name}.fusion.json"

    def snapshot_epochs(self, experiment: Experiment) -> Collection[int]:
        """The first epoch, the last and some between; 0 is before the first step."""
        epochs = experiment.epochs
        return sorted({epoch for epoch in EPOCHS if epoch < epochs} | {epochs})

    def is_possible(self, results: ResultFolder, experiment: Experiment) -> bool:
        """Whether all snapshots are there."""
        from df_heads.benchmarks.harness.train.snapshots import snapshot_file

        folder = results.work_dir(experiment)
        return all(
            snapshot_file(folder, epoch).exists() for epoch in self.snapshot_epochs(experiment)
        )

    def load(self, results: ResultFolder, experiment: Experiment) -> FusionResult | None:
        """The measures; None if they, or the maps, are not there.

        Raises:
            InputError: If a file is damaged or holds another experiment.
        """
        file = results.path / self.file(experiment)
        result = results.load_as(FusionResult, file, experiment)
        if result is not None and not file.with_suffix(".npz").exists():
            raise InputError(
                f"{file} or its .npz is damaged (the .npz is not there); move both away to measure "
                "again."
            )
        return result

    def maps(self, results: ResultFolder, experiment: Experiment) -> "FusionMaps | None":
        """The measures and the maps; None if they are not there.

        Raises:
            InputError: If a file is damaged or holds another experiment.
        """
        from df_heads.benchmarks.harness.evaluate.fusing import load_maps

        result = self.load(results, experiment)
        return None if result is None else load_maps(result, results.path / self.file(experiment))

    def run(self, run: FinishedRun) -> None:
        """Measure the snapshots, and write the files."""
        from df_heads.benchmarks.harness.evaluate.fusing import measure_snapshots

        epochs = list(self.snapshot_epochs(run.experiment))
        measure_snapshots(run, epochs, run.results.path / self.file(run.experiment))

import dataclasses
from pathlib import Path

import pytest
import torch
from torch import nn

from df_heads import TransformerProjectionHead, build_head
from df_heads.benchmarks.harness.base.errors import InputError
from df_heads.benchmarks.harness.base.experiment import Experiment
from df_heads.benchmarks.harness.base.machine import Machine
from df_heads.benchmarks.harness.data.images import ImageData
from df_heads.benchmarks.harness.evaluate.evaluation import FinishedRun
from df_heads.benchmarks.harness.evaluate.probes import Probes
from df_heads.benchmarks.harness.evaluate.probing import project_in_batches, samples_per_sequence
from df_heads.benchmarks.harness.evaluate.storing import measure_and_store
from df_heads.benchmarks.harness.store.results import ResultFolder
from df_heads.benchmarks.harness.sweep.run import run

MACHINE = Machine(accelerator="cpu", logger="none", progress=False)
TINY = Experiment(
    "digits",
    "transformer-small",
    learning_rate=0.05,
    backbone="test_resnet",
    image_size=16,
    epochs=1,
    batch_size=16,
)


class BatchMean(nn.Module):
    """Gives every sample the mean of its batch, and remembers the batches."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[torch.Tensor] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        assert not self.training
        self.batches.append(x)
        return x.mean(0, keepdim=True).expand_as(x)


def test_every_batch_is_full_mixed_and_the_order_stays() -> None:
    head = BatchMean()
    features = torch.arange(50.0)[:, None]
    projected = project_in_batches(head, features, 16)
    assert [len(batch) for batch in head.batches] == [16] * 4
    assert head.training
    means = [batch.mean() for batch in head.batches]
    for batch, mean in zip(head.batches[:3], means[:3], strict=True):
        assert torch.equal(projected[batch[:, 0].long()], mean.expand(16, 1))
    # The last two samples are filled up with the first 14, which keep their first outputs.
    last = head.batches[3][:, 0].long()
    assert torch.equal(projected[last[:2]], means[3].expand(2, 1))
    assert torch.equal(last[2:], head.batches[0][:14, 0].long())
    # Sorted by class, as image folders are, a batch would hold one class or two.
    assert all(len(set((batch[:, 0] // 10).tolist())) == 5 for batch in head.batches)
    again = project_in_batches(BatchMean(), features, 16)
    assert torch.equal(projected, again)


def test_a_small_set_is_one_batch_and_heads_that_do_not_mix_see_no_batch() -> None:
    features = torch.randn(10, 8)
    torch.testing.assert_close(
        project_in_batches(BatchMean(), features, 16), features.mean(0).expand(10, 8)
    )
    for head in (
        TransformerProjectionHead(8, 8, 8, num_layers=1, attention="self"),
        build_head("feedforward-small", 8),
    ):
        with torch.no_grad():
            whole = head.eval()(features)
        torch.testing.assert_close(project_in_batches(head, features, 3), whole)


@pytest.mark.parametrize(
    ("changes", "samples"),
    [({}, 16), ({"devices": 2}, 8), ({"views": "joint"}, 32), ({"batch_size": 64}, 64)],
)
def test_sequences_are_as_long_as_in_training(changes: dict[str, object], samples: int) -> None:
    assert samples_per_sequence(dataclasses.replace(TINY, **changes)) == samples  # type: ignore[arg-type]


def test_the_probes_of_a_finished_run(tmp_path: Path, tiny_data: ImageData) -> None:
    results = ResultFolder(tmp_path)
    result = run(TINY, tiny_data, results, MACHINE)
    assert result is not None
    before = results.file(TINY).read_text()
    assert Probes().load(results, TINY) is None
    run_again = FinishedRun(TINY, tiny_data, results, MACHINE)
    content = measure_and_store(Probes(), run_again)
    saved = Probes().load(results, TINY)
    assert saved == content
    assert list(content.metrics) == [
        "backbone_1",
        "backbone_3",
        "projection_1",
        "projection_3",
    ]
    # The first is Table 2's supervised accuracy: the same weights, samples and classifier.
    assert content.metrics["backbone_1"] == pytest.approx(result.metrics["supervised"])
    assert all(0 <= value <= 100 for value in content.metrics.values())
    assert results.file(TINY).read_text() == before
    assert Probes().measure(run_again)[0] == content.metrics


def test_missing_weights_get_one_clear_sentence(tmp_path: Path, tiny_data: ImageData) -> None:
    results = ResultFolder(tmp_path)
    for damaged in (False, True):
        if damaged:
            results.work_dir(TINY).mkdir(parents=True)
            (results.work_dir(TINY) / "last.ckpt").write_bytes(b"no weights")
        with pytest.raises(InputError, match=r"last\.ckpt cannot be read .*; Table 6 needs them"):
            Probes().measure(FinishedRun(TINY, tiny_data, results, MACHINE))
    assert Probes().load(results, TINY) is None

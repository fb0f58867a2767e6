import math
import subprocess
import sys
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightly.loss import NTXentLoss
from torch import Tensor

from df_heads.integrations.method.key_queue import KeyQueue
from df_heads.integrations.moco import MoCo, info_nce

Make = Callable[..., Any]


def unit(x: Tensor) -> Tensor:
    return x / x.norm(dim=1, keepdim=True)


@pytest.mark.parametrize("sizes", [(3, 3, 3), (4, 4, 4), (5, 5, 5, 5), (10, 10), (7, 10, 1, 9)])
def test_the_queue_holds_the_newest_keys(sizes: tuple[int, ...]) -> None:
    queue = KeyQueue(10, 4)
    newest = deque(queue.keys.clone(), maxlen=10)
    for size in sizes:
        keys = torch.randn(size, 4)
        queue.enqueue(keys)
        newest.extend(unit(keys))
        ordered = queue.keys.roll(-int(queue.pointer), dims=0)
        torch.testing.assert_close(ordered, torch.stack(list(newest)))


def test_the_queue_is_saved() -> None:
    queue, twin = KeyQueue(10, 4), KeyQueue(10, 4)
    queue.enqueue(torch.randn(7, 4))
    twin.load_state_dict(queue.state_dict())
    for one in (queue, twin):
        one.enqueue(torch.ones(6, 4))
    assert torch.equal(queue.keys, twin.keys)
    assert queue.pointer == twin.pointer == 3


def test_info_nce_equals_the_formula_and_lightly() -> None:
    queries, keys, negatives = torch.randn(6, 4), torch.randn(6, 4), unit(torch.randn(9, 4))
    losses = []
    for q, k in zip(unit(queries), unit(keys), strict=True):
        scores = torch.stack([q @ k, *(q @ n for n in negatives)]) / 0.3
        losses.append(torch.logsumexp(scores, 0) - scores[0])
    value = info_nce(queries, keys, negatives, 0.3)
    torch.testing.assert_close(value, torch.stack(losses).mean())
    theirs = NTXentLoss(temperature=0.3, memory_bank_size=(9, 4))
    theirs.memory_bank.bank = negatives
    torch.testing.assert_close(value, theirs(queries, keys))


@pytest.mark.parametrize("mode", ["separate", "joint"])
def test_the_loss_is_symmetric_and_keys_keep_their_own_sequence(
    mode: str, tiny: Make, views: list[Tensor]
) -> None:
    model = tiny(MoCo, views=mode, temperature=0.3, queue_size=64)
    with torch.no_grad():  # a teacher that is not the student
        for parameter in model.teacher.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))

    def project(network: Any) -> tuple[Tensor, Tensor]:
        f0, f1 = (network.backbone(view).flatten(1) for view in views)
        if mode == "joint":
            return network.projection_head(torch.cat([f0, f1])).chunk(2)
        return network.projection_head(f0), network.projection_head(f1)

    (q0, q1), (k0, k1) = project(model), project(model.teacher)
    before = model.queue.keys.clone()
    expected = info_nce(q0, k1, before, 0.3) / 2 + info_nce(q1, k0, before, 0.3) / 2
    torch.testing.assert_close(model.loss(views), expected)
    assert torch.equal(model.queue.keys, before)
    model.enqueue_keys()
    torch.testing.assert_close(model.queue.keys[:32], unit(torch.cat([k0, k1])))
    assert torch.equal(model.queue.keys[32:], before[32:])


def test_the_keys_of_every_batch_enter_the_queue(
    tiny: Make, quick_trainer: Make, loader: Make
) -> None:
    model, seen = tiny(MoCo, queue_size=80), []

    class Recorder(MoCo):
        def enqueue_keys(self) -> None:
            seen.append(torch.cat(self._keys))
            super().enqueue_keys()

    model.__class__ = Recorder
    quick_trainer(max_epochs=1, accumulate_grad_batches=2).fit(model, loader())
    assert [len(keys) for keys in seen] == [32] * 4
    assert model.queue.pointer == 4 * 32 % 80
    newest = unit(torch.cat(seen))[-80:]
    torch.testing.assert_close(model.queue.keys.roll(-48, dims=0), newest)


def test_training_lowers_the_loss(
    tiny: Make, quick_trainer: Make, loader: Make, views: list[Tensor]
) -> None:
    model = tiny(MoCo, queue_size=64, teacher_momentum=0.9)
    for _ in range(2):  # random keys are easy to tell apart from a key of the model
        model.loss(views)
        model.enqueue_keys()
    before = model.loss(views).item()
    assert before == pytest.approx(math.log(65), abs=0.1)
    trainer = quick_trainer(max_epochs=10)
    trainer.fit(model, loader())
    assert float(trainer.callback_metrics["train_loss_epoch"]) < before - 0.3


def test_a_queue_smaller_than_a_step_gets_one_clear_sentence(
    tiny: Make, views: list[Tensor]
) -> None:
    message = "queue_size=31 cannot hold the 32 keys of one step, 2 views of 16 images"
    with pytest.raises(ValueError, match=message):
        tiny(MoCo, queue_size=31).training_step((views, 0), 0)
    with pytest.raises(ValueError, match="queue_size=32 .* 64 keys"):
        tiny(MoCo, queue_size=32).check_batch_size(16, processes=2)
    tiny(MoCo, queue_size=32).check_batch_size(16)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"queue_size": 0}, "queue_size=0 must be a whole number of at least 4"),
        ({"temperature": 0.0}, "temperature=0.0 must be above 0"),
        ({"temperature": float("nan")}, "temperature=nan must be above 0 and finite"),
        ({"views": "both"}, "views='both' is not known"),
    ],
)
def test_bad_options_get_one_clear_sentence(options: Any, message: str, tiny: Make) -> None:
    with pytest.raises(ValueError, match=message):
        tiny(MoCo, **options)


def test_a_batch_of_1_gets_one_clear_sentence(tiny: Make) -> None:
    with pytest.raises(ValueError, match="holds 1 image; .* need at least 2"):
        tiny(MoCo).training_step(([torch.ones(1, 3, 16, 16)] * 2, 0), 0)


TWO_RANKS = """
import torch
from torch import distributed as dist, nn
from df_heads import TransformerProjectionHead
from df_heads.integrations.moco import MoCo

dist.init_process_group("gloo")
rank = dist.get_rank()

def everywhere(x):
    parts = [torch.empty_like(x) for _ in range(2)]
    dist.all_gather(parts, x.contiguous())
    return parts

class Seen(nn.Flatten):  # features are the images: one sample at a time, no statistics
    def forward(self, x):
        self.images = x
        return super().forward(x)

def model(shuffle):
    torch.manual_seed(0)
    head = TransformerProjectionHead(12, 8, 8, num_layers=2, num_heads=2, head_dim=4)
    return MoCo(Seen(), head, image_size=2, queue_size=24, shuffle_keys=shuffle).double()

torch.manual_seed(10 + rank)
views = [torch.randn(5, 3, 2, 2, dtype=torch.float64) for _ in range(2)]
plain, shuffled = model(False), model(True)
loss = plain.loss(views)
torch.testing.assert_close(shuffled.loss(views), loss)
for ours, theirs in zip(shuffled._keys, plain._keys):
    torch.testing.assert_close(ours, theirs)
seen = shuffled.teacher.backbone.images  # of the second view
assert not torch.equal(seen, views[1])
both = torch.cat(everywhere(seen)), torch.cat(everywhere(views[1]))
assert sorted(both[0].sum((1, 2, 3)).tolist()) == sorted(both[1].sum((1, 2, 3)).tolist())
for step in range(2):
    plain.loss(views)
    plain.enqueue_keys()
assert plain.queue.pointer == 2 * 20 % 24
first, second = everywhere(plain.queue.keys)
assert torch.equal(first, second)
keys = torch.nn.functional.normalize(torch.cat(everywhere(torch.cat(plain._keys))), dim=1)
newest = plain.queue.keys.roll(-int(plain.queue.pointer), dims=0)[-20:]
torch.testing.assert_close(newest, keys)
try:
    plain.training_step(([view[: 5 - rank] for view in views], 0), 0)
except ValueError as error:
    assert "batches of [5, 4] images; gathering needs equal ones" in str(error), error
    print(f"rank {rank} ok", flush=True)
dist.destroy_process_group()
"""


@pytest.mark.slow
def test_two_processes_share_keys_and_shuffling_changes_no_sequence(tmp_path: Path) -> None:
    script = tmp_path / "two_ranks.py"
    script.write_text(TWO_RANKS)
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    done = subprocess.run(
        [sys.executable, *launch, script], capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(" ok") == 2

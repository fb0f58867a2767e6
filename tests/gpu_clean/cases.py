"""Runs every part of a training step on a device that is not the CPU.

    python cases.py             # one line for each part
    python cases.py --mistakes  # one line for each of MISTAKES, put into the source of its part

Nothing is computed: see fake_device.py. What fails: a CPU tensor that meets one of the device, a
value read back to the host (.item(), bool(), float()), a shape that depends on values (a boolean
index, nonzero), a factory that forgets its device.
"""

import argparse
import importlib
import inspect
import sys
import textwrap
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from types import ModuleType
from typing import Any

import numpy as np
import torch
from computing_device import Computing
from fake_device import DEVICE, on_device, rand
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.utils import clip_grad_norm_

from df_heads import HEAD_PRESETS, build_head, evaluation, mlp_probe
from df_heads.augment import SimCLRAugment
from df_heads.benchmarks.harness.train.methods import METHODS
from df_heads.collapse import measure_collapse
from df_heads.integrations.compiled import DeviceImages, GradientStep
from df_heads.integrations.method.base import Method
from df_heads.integrations.method.momentum import MomentumMethod
from df_heads.integrations.simclr import SimCLR
from df_heads.integrations.small_maps import use_small_map_products
from df_heads.nt_xent import ChunkedNTXentLoss

Case = Callable[[], object]
#: A case is made with tensors of the CPU, then run with fake ones of the device.
CASES: dict[str, Callable[[], Case]] = {}
#: Cases that give numbers: run with tensors of the device that hold some.
COMPUTED: dict[str, Callable[[], Case]] = {}


def autocast(enabled: bool = True) -> torch.autocast:
    """Mixed precision as on a GPU."""
    return torch.autocast(DEVICE.type, torch.bfloat16, enabled=enabled)


def add(name: str, make: Callable[..., Case], *args: Any, **options: Any) -> None:
    """Add a case."""
    CASES[name] = partial(make, *args, **options)


def augment(degrees: float | None) -> Case:
    """A view of each image of a uint8 batch."""
    views = SimCLRAugment(32, rr_prob=0.5, rr_degrees=degrees, vf_prob=0.5)

    def run() -> None:
        on_device(views)
        images = torch.zeros(8, 3, 40, 36, dtype=torch.uint8, device=DEVICE)
        views.transform(images, views.parameters_from(rand(35, 8), 40, 36))

    return run


def head(name: str, *, bf16: bool, masked: bool = False, **options: Any) -> Case:
    """Forward and backward of a head, two sequences."""
    module = build_head(name, 64, **options)

    def run() -> None:
        on_device(module)
        x = rand(2, 24, 64, requires_grad=True)
        mask = torch.ones(24, 24, dtype=torch.bool, device=DEVICE)
        with autocast(bf16):
            z = module(x, attn_mask=mask) if masked else module(x)
        z.float().sum().backward()
        assert x.grad is not None
        assert x.grad.device == DEVICE
        assert all(p.grad.device == DEVICE for p in module.parameters() if p.grad is not None)

    return run


def loss(chunk: int) -> Case:
    """NT-Xent in row chunks."""

    def run() -> None:
        z = rand(2, 64, 32, requires_grad=True)
        ChunkedNTXentLoss(0.2, chunk_size=chunk)(*z).backward()

    return run


def step(
    method: type[Method],
    views: str = "separate",
    head: str = "transformer-stable",
    *,
    products: bool = False,
    bf16: bool = True,
    **options: Any,
) -> Case:
    """Loss, gradients, clipping, update and teacher of a method."""
    backbone = "resnet18" if products else "test_resnet"
    model: Any = method(backbone, head, views, **options)  # type: ignore[arg-type]
    if products:
        use_small_map_products(model.backbone)

    def run() -> None:
        on_device(model)
        views = [rand(8, 3, 32, 32) for _ in range(2)]
        labels = torch.zeros(8, dtype=torch.long, device=DEVICE)
        with autocast(bf16):
            value = model.loss_of_batch((views, labels), views)
        value.backward()
        model.on_after_backward()
        clip_grad_norm_(model.parameters(), 1.0)
        model.build_optimizer().step()
        if isinstance(model, MomentumMethod):
            model.teacher.update(model, 0.99)

    return run


def gradient_step(head: str) -> Case:
    """What is captured into a CUDA graph."""
    model = SimCLR("resnet18", head, loss_chunk_size=8)
    use_small_map_products(model.backbone)
    images = np.zeros((32, 3, 32, 32), np.uint8)
    device_images = DeviceImages(images, SimCLRAugment(32, rr_prob=0.5, rr_degrees=15.0))

    def run() -> None:
        on_device(model), on_device(device_images)
        indices = torch.zeros(8, dtype=torch.long, device=DEVICE)
        with autocast():
            GradientStep(model, device_images)(indices, rand(2, 35, 8))

    return run


def accuracy(module: ModuleType, name: str, *, labels_there: bool) -> Case:
    """An evaluation: the same number as on the CPU, with labels on the CPU or on the device."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(90) % 3
    x = torch.randn(90, 8, generator=generator) + 2 * labels[:, None] * torch.eye(8)[0]

    def run() -> None:
        measure = getattr(module, name)
        alone = name == "nearest_neighbor_accuracy"
        parts = [x, labels] if alone else [x[:60], labels[:60], x[60:], labels[60:]]
        there = [part.to(DEVICE) if part.dim() == 2 or labels_there else part for part in parts]
        found, expected = measure(*there), measure(*parts)
        assert abs(found - expected) < 1e-6, (found, expected)

    return run


def features() -> Case:
    """Features of a loader of the CPU's images."""
    backbone = SimCLR("resnet18").backbone

    def run() -> None:
        on_device(backbone)
        images = [torch.rand(4, 3, 32, 32) for _ in range(2)]
        evaluation.extract_features(backbone, images)

    return run


def collapse() -> Case:
    """The measures of collapse, which are read by those who ask for them."""
    z = torch.randn(32, 8, generator=torch.Generator().manual_seed(0))

    def run() -> None:
        assert abs(measure_collapse(z.to(DEVICE)).rank - measure_collapse(z).rank) < 1e-4

    return run


for _degrees, _words in ((15.0, "15 degrees"), (None, "quarter turns")):
    add(f"augment, {_words}", augment, _degrees)
for _name in (name for name in HEAD_PRESETS if name.endswith("-small")):
    add(f"{_name}, bf16", head, _name, bf16=True)
    add(f"{_name}, float32", head, _name, bf16=False)
add("head in sequences of 10", head, "transformer", bf16=True, sequence_length=10)
add("head with a mask", head, "transformer", bf16=True, masked=True)
add("head with dropout", head, "transformer", bf16=True, dropout=0.1)
add("NT-Xent, one chunk", loss, 1024)
add("NT-Xent, chunks of 24", loss, 24)
for _name in METHODS:
    _method = METHODS.find(_name)()
    for _views in ("separate", "joint"):
        add(f"{_name}, {_views}", step, _method, _views, **_method.short_run_options(8))
add("simclr, NT-Xent in chunks", step, SimCLR, loss_chunk_size=8)
add("simclr, small maps", step, SimCLR, loss_chunk_size=8, products=True)
add("simclr, partner masked", step, SimCLR, "joint", mask_partner=True, loss_chunk_size=8)
add("simclr, two streams", step, SimCLR, streams=2, loss_chunk_size=8)
add("simclr, float32", step, SimCLR, bf16=False)
for _name in ("transformer", "transformer-stable", "feedforward"):
    add(f"compiled step, {_name}", gradient_step, _name)
for _there in (False, True):
    for _module, _measure in (
        (evaluation, "nearest_neighbor_accuracy"),
        (evaluation, "knn_accuracy"),
        (evaluation, "linear_probe_accuracy"),
        (mlp_probe, "mlp_probe_accuracy"),
    ):
        _name = f"{_measure}, labels on the {'device' if _there else 'CPU'}"
        COMPUTED[_name] = partial(accuracy, _module, _measure, labels_there=_there)
add("extract_features", features)
COMPUTED["measure_collapse"] = collapse


@dataclass(frozen=True)
class Mistake:
    """A change of one place in the source that the case must find."""

    what: str
    module: str
    function: str
    old: str
    new: str
    case: str


MISTAKES = (
    Mistake(
        "a value of the views read back",
        "df_heads.augment.simclr",
        "SimCLRAugment.transform",
        "with torch.autocast(",
        "images.sum().item()\n    with torch.autocast(",
        "augment, 15 degrees",
    ),
    Mistake(
        "a factory of the head without a device",
        "df_heads.block",
        "TransformerBlock._add",
        "branch, alpha",
        "branch * torch.ones(x.shape[-1]), alpha",
        "transformer-small, bf16",
    ),
    Mistake(
        "a boolean index in the loss",
        "df_heads.nt_xent",
        "ChunkedNTXentLoss.forward",
        "return loss",
        "return loss + own[own > 2].sum()",
        "NT-Xent, one chunk",
    ),
    Mistake(
        "a number of the teacher read back",
        "df_heads.integrations.method.momentum",
        "Teacher.update",
        "average([",
        "momentum += 0 * float(ours[0].sum())\n    average([",
        "byol, separate",
    ),
    Mistake(
        "a tensor of the CPU in an evaluation",
        "df_heads.evaluation",
        "knn_accuracy",
        "train_features.double()",
        "train_features.double() + torch.zeros(train_features.shape[1])",
        "knn_accuracy, labels on the CPU",
    ),
)


@contextmanager
def made(mistake: Mistake) -> Iterator[None]:
    """Change the source, as an edit of its file would, and back."""
    home = importlib.import_module(mistake.module)
    *path, name = mistake.function.split(".")
    owner: Any = home
    for part in path:
        owner = getattr(owner, part)
    before = inspect.getattr_static(owner, name)
    source = textwrap.dedent(inspect.getsource(before))
    if source.count(mistake.old) != 1:
        raise SystemExit(f"{mistake.function} has {mistake.old!r} not once")
    edited: dict[str, Any] = {}
    code = compile(source.replace(mistake.old, mistake.new), str(home.__file__), "exec")
    exec(code, home.__dict__, edited)
    setattr(owner, name, edited[name])
    try:
        yield
    finally:
        setattr(owner, name, before)


def outcome(name: str) -> str:
    """Run a case: "ok", or what failed."""
    run = (CASES | COMPUTED)[name]()
    with Computing() if name in COMPUTED else FakeTensorMode(allow_non_fake_inputs=False):
        try:
            run()
        except Exception as error:
            return f"FAILED {type(error).__name__}: {' '.join(str(error).strip().splitlines()[:1])}"
    return "ok"


def main(arguments: Sequence[str]) -> int:
    """Print what becomes of the cases, or of those of MISTAKES with the mistake."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--mistakes", action="store_true")
    args = parser.parse_args(arguments)
    warnings.simplefilter("ignore")
    if args.mistakes:
        for mistake in MISTAKES:
            with made(mistake):
                print(f"{mistake.what}: {outcome(mistake.case)}", flush=True)
        return 0
    for name in CASES | COMPUTED:
        print(f"{name}: {outcome(name)}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

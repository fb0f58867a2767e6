"""The ways to make a training step that are timed side by side."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import numpy as np
import torch
from lightly.transforms.simclr_transform import SimCLRTransform
from PIL import Image
from torch import Tensor
from torch.nn.utils import clip_grad_norm_
from torch.utils.data import DataLoader, Dataset, RandomSampler, get_worker_info

from df_heads.augment import SimCLRAugment
from df_heads.benchmarks.harness.speed.head_speed import autocast
from df_heads.benchmarks.harness.views.kornia_augment import KorniaAugment
from df_heads.integrations.compiled.device_images import DeviceImages
from df_heads.integrations.compiled.gradient_step import GradientStep
from df_heads.integrations.simclr import SimCLR
from df_heads.integrations.small_maps import use_small_map_products

IMAGE_SIZE = 32
#: Views as SimCLR's recipe for small images has them, with the paper's rotation.
VIEWS: dict[str, Any] = {"cj_strength": 0.5, "rr_prob": 0.5, "rr_degrees": 15.0}
PREFETCH = 2  # batches that each worker of a DataLoader keeps ready: torch's default
WAITING = 0.05  # of a step: more of it spent waiting for workers, and they set the speed

#: Does so many steps and gives the seconds that they took.
TimedSteps = Callable[[int], float]


@dataclass(frozen=True)
class Setup:
    """What all ways to make a step share.

    Attributes:
        backbone: A timm model.
        head: A name of HEAD_PRESETS.
        batch_size: Images in a batch; twice as many views.
        device: Where.
        precision: "32-true" or "bf16-mixed".
        workers: Processes of lightly's pipeline.
    """

    backbone: str
    head: str
    batch_size: int
    device: torch.device
    precision: str
    workers: int

    @cached_property
    def images(self) -> np.ndarray[Any, np.dtype[np.uint8]]:
        """Random images, four batches of them, (4 N, 3, 32, 32)."""
        shape = (4 * self.batch_size, 3, IMAGE_SIZE, IMAGE_SIZE)
        return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)

    def model(self, *, compiled: bool = False) -> SimCLR:
        """A fresh SimCLR, for the eager or the compiled step."""
        model = SimCLR(self.backbone, self.head, learning_rate=0.01)
        if compiled:
            model.fused_optimizer = True
            use_small_map_products(model.backbone)
        return model.to(self.device)

    def wait(self) -> None:
        """Until the device has done what it was given."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def timed(self, step: Callable[[], object]) -> TimedSteps:
        """A step as a block."""

        def block(steps: int) -> float:
            self.wait()
            started = time.perf_counter()
            for _ in range(steps):
                step()
            self.wait()
            return time.perf_counter() - started

        return block


def eager_update(setup: Setup, model: SimCLR) -> Callable[[list[Tensor]], None]:
    """Forward, backward, clipping and update on two views."""
    optimizer = model.build_optimizer()

    def update(views: list[Tensor]) -> None:
        with autocast(setup.device, setup.precision):
            loss = model.loss(views)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        clip_grad_norm_(model.parameters(), cast(float, model.gradient_clip))
        optimizer.step()

    return update


def eager(setup: Setup, *, kornia: bool = False, train: bool = True) -> TimedSteps:
    """Views by our augmentation or kornia's on the device, and the eager step."""
    augment = KorniaAugment(IMAGE_SIZE, **VIEWS) if kornia else SimCLRAugment(IMAGE_SIZE, **VIEWS)
    augment.to(setup.device)
    update = eager_update(setup, setup.model()) if train else None
    order = _orders(setup)

    def step() -> None:
        images = torch.from_numpy(setup.images[next(order)]).to(setup.device)
        views = [augment(images), augment(images)]
        if update is not None:
            update(views)

    return setup.timed(step)


def compiled(setup: Setup, *, train: bool = True) -> TimedSteps:
    """The compiled step: views in one graph, tiny maps as products, fused update."""
    augment = SimCLRAugment(IMAGE_SIZE, **VIEWS)
    images = DeviceImages(setup.images, augment).to(setup.device)
    model = setup.model(compiled=True)
    optimizer, gradients = model.build_optimizer(), GradientStep(model, images)
    order = _orders(setup)

    def step() -> None:
        indices = torch.from_numpy(next(order)).to(setup.device)
        uniforms = torch.stack([augment.uniforms(len(indices)) for _ in range(2)])
        if train:
            with autocast(setup.device, setup.precision):
                gradients(indices, uniforms)
            optimizer.step()
        else:
            images(indices, uniforms)

    return setup.timed(step)


def backbone_only(setup: Setup, *, compiled: bool) -> TimedSteps:
    """The backbone's own step on views that are there already: no head, a sum as the loss."""
    model = setup.model(compiled=compiled)
    parameters = list(model.backbone.parameters())
    optimizer = torch.optim.SGD(parameters, lr=1e-9, momentum=0.9, fused=compiled)
    shape = (2 * setup.batch_size, 3, IMAGE_SIZE, IMAGE_SIZE)
    views = torch.randn(shape, device=setup.device).to(memory_format=torch.channels_last)
    backbone: Callable[[Tensor], Tensor] = model.backbone
    if compiled and setup.device.type == "cuda":
        backbone = torch.compile(backbone, mode="reduce-overhead", dynamic=False)

    def step() -> None:
        with autocast(setup.device, setup.precision):
            loss = backbone(views).float().mean()
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()

    return setup.timed(step)


def lightly_pipeline(setup: Setup, *, train: bool = True) -> TimedSteps:
    """Lightly's SimCLRTransform in a DataLoader with workers, and the eager step."""
    workers = _Workers(setup)
    update = eager_update(setup, setup.model()) if train else None

    def step() -> None:
        views = [view.to(setup.device, non_blocking=True) for view in workers.batch()]
        if update is not None:
            update(views)

    block = setup.timed(step)
    starved: bool | None = None  # not known yet

    def steady(steps: int) -> float:
        nonlocal starved
        # Where training waits for the workers, what they had made ready while others were timed
        # must not count. Where they wait for it, they make one batch for each that it takes.
        if starved is not False:
            block(workers.ready)
        if starved is None:
            workers.waited = 0.0
            seconds = block(setup.workers)
            starved = workers.waited > WAITING * seconds
        seconds = block(steps)
        workers.rest()
        return seconds

    return steady


class _Workers:
    """Processes that make batches by lightly's transform, without an end.

    Attributes:
        ready: Batches that they keep ready.
        waited: Seconds that `batch` has waited for them.
    """

    def __init__(self, setup: Setup) -> None:
        self.ready = PREFETCH * setup.workers
        self.waited = 0.0
        self._asked = self.ready * setup.batch_size  # images
        self._batch_size = setup.batch_size
        self._pictures = _Pictures(setup.images, setup.workers)
        loader = DataLoader(
            self._pictures,
            batch_size=setup.batch_size,
            # Epochs of a few batches would stop the workers at each of their ends.
            sampler=RandomSampler(self._pictures, replacement=True, num_samples=2**40),
            num_workers=setup.workers,
            prefetch_factor=PREFETCH,
            pin_memory=setup.device.type == "cuda",
        )
        self._batches = iter(loader)

    def batch(self) -> list[Tensor]:
        """Two views of a batch."""
        started = time.perf_counter()
        views = next(self._batches)
        self.waited += time.perf_counter() - started
        self._asked += self._batch_size
        return cast(list[Tensor], views)

    def rest(self) -> None:
        """Wait until they have nothing to do, so that they do not slow what is timed next."""
        while self._pictures.made.sum() < self._asked:
            time.sleep(0.01)


class _Pictures(Dataset[list[Tensor]]):
    """PIL images; counts those that were made into views, in each worker."""

    def __init__(self, images: np.ndarray[Any, np.dtype[np.uint8]], workers: int) -> None:
        self.pictures = [Image.fromarray(image.transpose(1, 2, 0)) for image in images]
        self.transform = SimCLRTransform(input_size=IMAGE_SIZE, **VIEWS)
        made = torch.zeros(workers, dtype=torch.int64)
        self.made = made.share_memory_()  # type: ignore[no-untyped-call]

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, index: int) -> list[Tensor]:
        views = cast(list[Tensor], self.transform(self.pictures[index]))
        self.made[cast(Any, get_worker_info()).id] += 1
        return views


def _orders(setup: Setup) -> Iterator[np.ndarray[Any, np.dtype[np.int64]]]:
    """Batches of shuffled indices."""
    generator = np.random.default_rng(0)
    while True:
        order = generator.permutation(len(setup.images))
        yield from order.reshape(-1, setup.batch_size)

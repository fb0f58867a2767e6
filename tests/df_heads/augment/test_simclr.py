import inspect
import math
import os
import shutil
from typing import Any

import numpy as np
import pytest
import torch
from lightly.transforms.gaussian_blur import GaussianBlur
from lightly.transforms.simclr_transform import SimCLRTransform, SimCLRViewTransform
from lightly.transforms.utils import IMAGENET_NORMALIZE
from scipy import stats
from torch import Tensor
from torchvision import transforms as v1
from torchvision.transforms.v2 import functional as F

from df_heads.augment import SimCLRAugment, ViewParameters
from df_heads.augment.pixel_ops import JITTER_ORDERS

DRAWS = 10_000
# The seeds are fixed, so a test either always fails or never; by chance one in a thousand would.
SIGNIFICANCE = 1e-3
EVERYTHING: dict[str, Any] = {"vf_prob": 0.3, "rr_prob": 0.5, "cj_prob": 0.8}


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)
    np.random.seed(0)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def random_images(n: int, height: int = 32, width: int = 32) -> Tensor:
    return torch.randint(0, 256, (n, 3, height, width), dtype=torch.uint8)


def select(parameters: ViewParameters, index: Tensor) -> ViewParameters:
    return ViewParameters(*(field[index] for field in parameters))


def assert_same_distribution(drawn: Tensor, reference: Any) -> None:
    result = stats.ks_2samp(drawn.numpy(), np.asarray(reference), method="asymp")
    assert result.pvalue > SIGNIFICANCE


def assert_rate(drawn: Tensor, probability: float) -> None:
    successes = int(drawn.sum())
    assert stats.binomtest(successes, len(drawn), probability).pvalue > SIGNIFICANCE


def reference_view(image: Tensor, size: int, p: ViewParameters, quarter: bool) -> Tensor:
    """The view that torchvision's functional makes of one image (3, H, W)."""
    adjust = (F.adjust_brightness, F.adjust_contrast, F.adjust_saturation, F.adjust_hue)
    factors = [float(f) for f in (p.brightness, p.contrast, p.saturation, p.hue)]
    box = [int(v) for v in p[:4]]
    view = F.resized_crop(image.float() / 255, *box, size=[size, size], antialias=True)
    if p.flip_horizontal:
        view = F.horizontal_flip(view)
    if p.flip_vertical:
        view = F.vertical_flip(view)
    if p.angle != 0:
        view = F.rotate(view, 90.0 if quarter else float(p.angle))
    for operation in JITTER_ORDERS[int(p.order)]:
        view = adjust[operation](view, factors[operation])
    if p.gray:
        view = F.rgb_to_grayscale(view, 3)
    if p.sigma > 0:
        view = F.gaussian_blur(view, [17, 17], [float(p.sigma)] * 2)
    normalized: Tensor = F.normalize(view, **IMAGENET_NORMALIZE)
    return normalized


@pytest.mark.parametrize(("height", "width"), [(32, 32), (48, 40)])
def test_view_is_torchvisions_given_the_parameters(height: int, width: int) -> None:
    augment, images = SimCLRAugment(32, **EVERYTHING), random_images(200, height, width)
    parameters = augment.draw(200, height, width, generator())
    views = augment.transform(images, parameters)
    assert views.shape == (200, 3, 32, 32)
    assert views.dtype == torch.float32
    assert views.is_contiguous()
    for i, view in enumerate(views):
        p = select(parameters, torch.tensor(i))
        # Normalized values are up to 4.5 times as far apart as pixels.
        assert (view - reference_view(images[i], 32, p, quarter=True)).abs().max() < 4.5e-4


def test_rotation_by_an_angle_within_the_whole() -> None:
    augment = SimCLRAugment(32, rr_prob=1.0, rr_degrees=40.0, gaussian_blur=0.0)
    images, parameters = random_images(40), augment.draw(40, 32, 32, generator())
    parameters = parameters._replace(sigma=torch.zeros(40))
    views = augment.transform(images, parameters)
    expected = [
        reference_view(image, 32, select(parameters, torch.tensor(i)), quarter=False)
        for i, image in enumerate(images)
    ]
    # A pixel picked the other way changes the mean that contrast uses, hence the share of views.
    wrong = ((views - torch.stack(expected)).abs() > 1e-2).float().mean((1, 2, 3))
    assert wrong.median() == 0
    assert wrong.max() < 0.01


def test_a_view_does_not_depend_on_the_other_images() -> None:
    augment, images = SimCLRAugment(32, **EVERYTHING), random_images(48)
    parameters = augment.draw(48, 32, 32, generator())
    views = augment.transform(images, parameters)
    some = torch.tensor([40, 3, 17])
    assert torch.allclose(augment.transform(images[some], select(parameters, some)), views[some])


def test_operations_of_probability_zero_do_nothing() -> None:
    operations = ("hf_prob", "cj_prob", "random_gray_scale", "gaussian_blur")
    off: dict[str, Any] = dict.fromkeys(operations, 0.0)
    augment, images = SimCLRAugment(32, min_scale=1.0, **off), random_images(16)
    # A crop of the whole area fits the image with no ratio but 1: all that is left is the fallback.
    assert torch.allclose(augment(images), augment.normalize(images), atol=1e-5)


def test_same_seed_same_views() -> None:
    augment, images = SimCLRAugment(32), random_images(16)
    first = augment(images, generator(1))
    assert torch.equal(first, augment(images, generator(1)))
    assert not torch.allclose(first, augment(images, generator(2)))
    torch.manual_seed(1)
    assert torch.equal(first, augment(images))


def test_two_calls_give_two_views_of_each_image() -> None:
    augment, source = SimCLRAugment(32), generator()
    images = random_images(1).expand(16, -1, -1, -1)
    views = torch.cat((augment(images, source), augment(images, source))).flatten(1)
    assert torch.cdist(views, views).fill_diagonal_(torch.inf).min() > 1


def test_number_of_draws_is_fixed() -> None:
    plain = SimCLRAugment(32, cj_prob=0.0, gaussian_blur=0.0, random_gray_scale=0.0, hf_prob=0.0)
    full = SimCLRAugment(32, **EVERYTHING)
    sources = generator(), generator()
    drawn = [a.draw(8, 32, 32, s) for a, s in zip((plain, full), sources, strict=True)]
    assert torch.equal(sources[0].get_state(), sources[1].get_state())
    for field in ("top", "left", "height", "width", "order"):
        assert torch.equal(getattr(drawn[0], field), getattr(drawn[1], field))


@pytest.mark.parametrize(
    ("height", "width", "min_scale"),
    # Few boxes fit the other two, so most draws are retried and some fall back to the center.
    [(32, 32, 0.08), (40, 100, 0.3), (100, 40, 0.3)],
)
def test_crops_are_distributed_as_torchvisions(height: int, width: int, min_scale: float) -> None:
    drawn = SimCLRAugment(32, min_scale=min_scale).draw(DRAWS, height, width, generator())
    image, scale, ratio = torch.empty(3, height, width), [min_scale, 1.0], [3 / 4, 4 / 3]
    boxes = [v1.RandomResizedCrop.get_params(image, scale, ratio) for _ in range(DRAWS)]
    top, left, h, w = np.array(boxes).T
    assert_same_distribution(drawn.top, top)
    assert_same_distribution(drawn.left, left)
    assert_same_distribution(drawn.height, h)
    assert_same_distribution(drawn.width, w)
    assert_same_distribution(drawn.height * drawn.width, h * w)
    assert_same_distribution(drawn.width.double() / drawn.height, w / h)
    # Where the box lies is free given its size: the corners must not follow the sizes.
    assert_same_distribution(drawn.top + drawn.height, top + h)
    assert (drawn.top + drawn.height <= height).all()
    assert (drawn.left + drawn.width <= width).all()


@pytest.mark.parametrize(("height", "width"), [(20, 60), (60, 20), (32, 32), (1, 1)])
def test_crop_without_a_fit_is_torchvisions(height: int, width: int) -> None:
    drawn = SimCLRAugment(32, min_scale=1.0).draw(20, height, width, generator())
    image = torch.empty(3, height, width)
    box = v1.RandomResizedCrop.get_params(image, [1.0, 1.0], [3 / 4, 4 / 3])
    assert {tuple(b) for b in torch.stack(drawn[:4], 1).tolist()} == {box}


@pytest.mark.parametrize("strength", [0.5, 1.0, 1.5])
def test_jitter_is_distributed_as_lightlys(strength: float) -> None:
    drawn = SimCLRAugment(32, cj_prob=1.0, cj_strength=strength).draw(DRAWS, 32, 32, generator())
    transforms = SimCLRViewTransform(cj_strength=strength).transform.transforms
    jitter = next(t for t in transforms if type(t).__name__ == "RandomApply").transforms[0]
    ranges = jitter.brightness, jitter.contrast, jitter.saturation, jitter.hue
    reference = [v1.ColorJitter.get_params(*map(list, ranges)) for _ in range(DRAWS)]
    for i, field in enumerate(("brightness", "contrast", "saturation", "hue"), start=1):
        assert_same_distribution(getattr(drawn, field), [r[i] for r in reference])


def test_all_orders_are_equally_likely() -> None:
    order = SimCLRAugment(32).draw(DRAWS, 32, 32, generator()).order
    assert set(JITTER_ORDERS) == {tuple(torch.randperm(4).tolist()) for _ in range(1000)}
    assert stats.chisquare(torch.bincount(order, minlength=24).numpy()).pvalue > SIGNIFICANCE


def test_jitter_is_all_or_nothing_per_image() -> None:
    drawn = SimCLRAugment(32).draw(DRAWS, 32, 32, generator())
    jittered = drawn.brightness != 1
    assert_rate(jittered, 0.8)
    for factors, neutral in ((drawn.contrast, 1), (drawn.saturation, 1), (drawn.hue, 0)):
        assert torch.equal(factors != neutral, jittered)


class Recorder:
    """Stands in for an image; remembers how lightly would blur it."""

    sigma = 0.0

    def filter(self, blur: Any) -> "Recorder":
        self.sigma = blur.radius
        return self


def test_blur_is_distributed_as_lightlys() -> None:
    sigma = SimCLRAugment(32).draw(DRAWS, 32, 32, generator()).sigma
    blur: Any = GaussianBlur(prob=0.5, sigmas=(0.1, 2.0))
    reference = np.array([blur(Recorder()).sigma for _ in range(DRAWS)])
    assert_rate(sigma > 0, 0.5)
    assert_same_distribution(sigma[sigma > 0], reference[reference > 0])


def test_flips_gray_and_rotation_have_their_probabilities() -> None:
    augment = SimCLRAugment(32, hf_prob=0.4, vf_prob=0.1, random_gray_scale=0.25, rr_prob=0.3)
    drawn = augment.draw(DRAWS, 32, 32, generator())
    assert_rate(drawn.flip_horizontal, 0.4)
    assert_rate(drawn.flip_vertical, 0.1)
    assert_rate(drawn.gray, 0.25)
    assert_rate(drawn.angle == 90, 0.3)
    assert_rate(drawn.angle == 0, 0.7)


@pytest.mark.parametrize(("degrees", "low"), [(30.0, -30.0), ((10.0, 30.0), 10.0)])
def test_angles_are_distributed_as_torchvisions(degrees: Any, low: float) -> None:
    angle = (
        SimCLRAugment(32, rr_prob=1.0, rr_degrees=degrees).draw(DRAWS, 32, 32, generator()).angle
    )
    reference = [v1.RandomRotation.get_params([low, 30.0]) for _ in range(DRAWS)]
    assert_same_distribution(angle, reference)


def test_parameters_are_independent() -> None:
    drawn = SimCLRAugment(32, vf_prob=0.5, cj_prob=1.0, gaussian_blur=1.0).draw(DRAWS, 32, 32)
    free = [drawn.height * drawn.width, drawn.width / drawn.height, *drawn[4:6], *drawn[7:]]
    correlation = torch.corrcoef(torch.stack([f.float() for f in free])).fill_diagonal_(0.0)
    # Uncorrelated draws have a standard error of 1 / sqrt(DRAWS).
    assert correlation.abs().max() < 4.5 / math.sqrt(DRAWS)


def test_defaults_are_lightlys() -> None:
    theirs = inspect.signature(SimCLRTransform).parameters
    ours = inspect.signature(SimCLRAugment).parameters
    shared = [name for name in ours if name in theirs]
    assert set(theirs) - set(shared) == {"input_size", "normalize"}
    for name in shared:
        assert ours[name].default == theirs[name].default, name
    assert list(ours["mean"].default) == IMAGENET_NORMALIZE["mean"]
    assert list(ours["std"].default) == IMAGENET_NORMALIZE["std"]


def test_normalize() -> None:
    images = random_images(4, 20, 24)
    mean, std = (0.1, 0.2, 0.3), (0.5, 0.6, 0.7)
    expected = F.normalize(images.float() / 255, list(mean), list(std))
    assert torch.allclose(SimCLRAugment(32, mean=mean, std=std).normalize(images), expected)


def test_autocast_does_not_reach_the_pixels() -> None:
    augment, images = SimCLRAugment(32), random_images(8)
    expected = augment(images, generator())
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(augment(images, generator()), expected)


def test_nothing_to_store() -> None:
    augment = SimCLRAugment(32)
    assert augment.state_dict() == {}
    assert list(augment.parameters()) == []


def compiled_equals_eager(augment: SimCLRAugment, backend: str) -> None:
    def views(images: Tensor, uniforms: Tensor) -> Tensor:
        return augment.transform(images, augment.parameters_from(uniforms, *images.shape[2:]))

    images, uniforms = random_images(32), augment.uniforms(32, generator())
    compiled = torch.compile(views, fullgraph=True, backend=backend)
    assert torch.allclose(compiled(images, uniforms), views(images, uniforms), atol=1e-4)


@pytest.mark.parametrize("degrees", [None, 20.0])
def test_one_graph_holds_everything(degrees: float | None) -> None:
    augment = SimCLRAugment(32, rr_degrees=degrees, **EVERYTHING)
    compiled_equals_eager(augment, "aot_eager")


@pytest.mark.slow
@pytest.mark.skipif(
    not shutil.which(os.environ.get("CXX", "g++")), reason="torch.compile needs a C++ compiler"
)
def test_compiled_equals_eager() -> None:
    compiled_equals_eager(SimCLRAugment(32), "inductor")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"image_size": 0}, "image_size=0 must be a whole number of at least 1"),
        ({"min_scale": 0.0}, "min_scale must be in"),
        ({"min_scale": 1.5}, "min_scale must be in"),
        ({"min_scale": float("nan")}, "min_scale must be in"),
        ({"hf_prob": float("nan")}, "hf_prob is a probability"),
        ({"cj_strength": float("nan")}, "must be finite, got 0.8"),
        ({"cj_hue": float("nan")}, "cj_hue . cj_strength must not be negative and must be finite"),
        ({"sigmas": (0.1, float("inf"))}, "sigmas must be"),
        ({"std": (1.0, float("nan"), 1.0)}, "std must be positive and finite"),
        ({"mean": (0.5, float("nan"), 0.5)}, "mean must be finite"),
        ({"hf_prob": -0.1}, "hf_prob is a probability"),
        ({"vf_prob": 1.1}, "vf_prob is a probability"),
        ({"rr_prob": 2.0}, "rr_prob is a probability"),
        ({"cj_prob": math.nan}, "cj_prob is a probability"),
        ({"random_gray_scale": 1.01}, "random_gray_scale is a probability"),
        ({"gaussian_blur": -1.0}, "gaussian_blur is a probability"),
        ({"cj_sat": -0.1}, "cj_sat \\* cj_strength must not be negative"),
        ({"cj_hue": 0.3, "cj_strength": 2.0}, "cj_hue \\* cj_strength must be at most 0.5"),
        ({"sigmas": (2.0, 0.1)}, "sigmas must be"),
        ({"std": (1.0, 0.0, 1.0)}, "std must be positive"),
    ],
)
def test_bad_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SimCLRAugment(**arguments)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (
            torch.zeros(2, 3, 8, 8, dtype=torch.int64),
            "or floating .*got torch.int64",
        ),
        (torch.zeros(3, 8, 8, dtype=torch.uint8), "must have shape \\(N, 3, H, W\\)"),
        (torch.zeros(2, 8, 8, 3, dtype=torch.uint8), "got \\(2, 8, 8, 3\\)"),
    ],
)
def test_bad_images(images: Tensor, message: str) -> None:
    augment = SimCLRAugment(32)
    for call in (augment, augment.normalize):
        with pytest.raises(ValueError, match=message):
            call(images)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.float64])
def test_takes_values_between_0_and_1_too(dtype: torch.dtype) -> None:
    augment, images = SimCLRAugment(32, **EVERYTHING), random_images(16, 40, 40)
    values = (images / 255).to(dtype)
    kept = values.clone()
    drawn = augment.draw(16, 40, 40, generator())
    tolerance = 1e-2 if dtype == torch.float16 else 1e-5
    for of in (augment.normalize, lambda x: augment.transform(x, drawn)):
        assert of(values).dtype == torch.float32
        assert torch.allclose(of(values), of(images), atol=tolerance)
    assert torch.equal(values, kept)

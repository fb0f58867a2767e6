import numpy as np
import pytest

from df_heads.benchmarks.harness.data.images import ImageData


@pytest.fixture
def tiny_data() -> ImageData:
    """Two classes of noisy 16 x 16 images that a glance tells apart."""
    generator = np.random.default_rng(0)

    def split(count: int) -> tuple[np.ndarray, np.ndarray]:
        labels = np.arange(count, dtype=np.int64) % 2
        images = generator.integers(0, 100, (count, 3, 16, 16))
        images[labels == 1, :, :8] += 100
        return images.astype(np.uint8), labels

    train, test = split(48), split(20)
    return ImageData("digits", *train, *test, classes=("0", "1"), fingerprint="0" * 16)

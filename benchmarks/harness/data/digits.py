"""scikit-learn's digits: real handwriting that needs no download."""

import numpy as np
import numpy.typing as npt
from PIL import Image

from df_heads.benchmarks.harness.data.contents import Contents, FoundDataset, Split

TEST_FRACTION = 0.2
SPLIT_SEED = 0


def locate_digits() -> FoundDataset:
    """Find scikit-learn's digits: 1,797 handwritten digits of 8x8 pixels, in the package."""
    try:
        import sklearn
    except ImportError as error:
        raise ImportError(
            "data set 'digits' comes with scikit-learn: pip install 'df-heads[benchmarks]'"
        ) from error
    split = f"test {TEST_FRACTION} seed {SPLIT_SEED}"
    return FoundDataset((f"scikit-learn {sklearn.__version__} {split}",), _read_digits)


def _read_digits() -> Contents:
    """Scale the digits' 0..16 to 0..255 and split them, every class in the same proportion."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    digits = load_digits()
    pixels = np.rint(digits.images * (255 / 16)).astype(np.uint8)
    train, test = train_test_split(
        np.arange(len(pixels)),
        test_size=TEST_FRACTION,
        stratify=digits.target,
        random_state=SPLIT_SEED,
    )

    def split(chosen: npt.NDArray[np.int64]) -> Split:
        images = pixels[np.sort(chosen)]
        labels = digits.target[np.sort(chosen)].astype(np.int64)
        return Split(labels, lambda index: Image.fromarray(images[index]).convert("RGB"))

    return Contents(split(train), split(test), tuple(str(name) for name in digits.target_names))

"""The numbers of the paper (arXiv 2403.18681v2), as printed."""

from dataclasses import dataclass


@dataclass(frozen=True)
class PaperCell:
    """One row of Table 2: accuracies in percent, hours on an A100 (two for ImageNet-200)."""

    parameters: str
    unsupervised: float
    supervised: float
    hours: float


#: What all of its tables train with.
PAPER_METHOD = "simclr"

#: (dataset, head family, size) -> row of Table 2; 1000 epochs.
TABLE2: dict[tuple[str, str, str], PaperCell] = {
    ("cifar10", "feedforward", "small"): PaperCell("1.9M", 73.49, 80.88, 4.17),
    ("cifar10", "transformer", "small"): PaperCell("1.9M", 76.65, 83.26, 2.53),
    ("cifar10", "feedforward", "large"): PaperCell("7.4M", 75.73, 81.21, 4.95),
    ("cifar10", "transformer", "large"): PaperCell("7.6M", 78.37, 84.54, 3.39),
    ("cifar100", "feedforward", "small"): PaperCell("1.9M", 37.42, 42.51, 4.22),
    ("cifar100", "transformer", "small"): PaperCell("1.9M", 40.19, 46.12, 2.98),
    ("cifar100", "feedforward", "large"): PaperCell("7.4M", 38.10, 44.46, 4.61),
    ("cifar100", "transformer", "large"): PaperCell("7.6M", 41.30, 47.92, 3.80),
    ("imagenet200", "feedforward", "small"): PaperCell("1.9M", 20.57, 22.36, 3.05),
    ("imagenet200", "transformer", "small"): PaperCell("1.9M", 22.82, 24.89, 3.66),
    ("imagenet200", "feedforward", "large"): PaperCell("7.4M", 21.46, 23.05, 4.62),
    ("imagenet200", "transformer", "large"): PaperCell("7.6M", 24.13, 26.47, 6.21),
}

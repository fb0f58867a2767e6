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

#: Tables 3 to 6 are of this data set and these heads; 1000 epochs.
ABLATION_DATASET, ABLATION_SIZE = "cifar100", "small"

#: (head family, batch size) -> unsupervised accuracy, Table 3.
TABLE3: dict[tuple[str, float], float] = {
    ("feedforward", 512): 34.87,
    ("feedforward", 1024): 35.43,
    ("feedforward", 2048): 35.08,
    ("feedforward", 4096): 35.02,
    ("transformer", 512): 38.54,
    ("transformer", 1024): 40.19,
    ("transformer", 2048): 39.59,
    ("transformer", 4096): 35.12,
}

#: (head family, batch size) -> hours on an A100, Table 3.
TABLE3_HOURS: dict[tuple[str, float], float] = {
    ("feedforward", 512): 4.05,
    ("feedforward", 1024): 4.22,
    ("feedforward", 2048): 5.78,
    ("feedforward", 4096): 5.38,
    ("transformer", 512): 2.65,
    ("transformer", 1024): 2.98,
    ("transformer", 2048): 4.47,
    ("transformer", 4096): 4.79,
}

#: (head family, temperature) -> unsupervised accuracy, Table 4.
TABLE4: dict[tuple[str, float], float] = {
    ("feedforward", 1.0): 13.21,
    ("feedforward", 0.8): 8.3,
    ("feedforward", 0.5): 18.43,
    ("feedforward", 0.2): 35.43,
    ("feedforward", 0.1): 33.95,
    ("feedforward", 0.05): 29.51,
    ("feedforward", 0.02): 26.65,
    ("transformer", 1.0): 4.25,
    ("transformer", 0.8): 6.97,
    ("transformer", 0.5): 11.08,
    ("transformer", 0.2): 40.19,
    ("transformer", 0.1): 34.09,
    ("transformer", 0.05): 31.88,
    ("transformer", 0.02): 1.18,
}

#: (head family, weight decay) -> unsupervised accuracy, Table 5.
TABLE5: dict[tuple[str, float], float] = {
    ("feedforward", 1e-1): 3.69,
    ("feedforward", 1e-2): 32.88,
    ("feedforward", 1e-3): 35.43,
    ("feedforward", 1e-4): 29.1,
    ("transformer", 1e-1): 5.05,
    ("transformer", 1e-2): 23.26,
    ("transformer", 1e-3): 40.19,
    ("transformer", 1e-4): 32.54,
}

#: (head family, layers of the classifier, where the features come from) -> supervised accuracy.
TABLE6: dict[tuple[str, int, str], float] = {
    ("feedforward", 1, "backbone"): 42.51,
    ("feedforward", 1, "projection"): 39.46,
    ("feedforward", 3, "backbone"): 39.10,
    ("feedforward", 3, "projection"): 36.25,
    ("transformer", 1, "backbone"): 46.12,
    ("transformer", 1, "projection"): 44.16,
    ("transformer", 3, "backbone"): 41.85,
    ("transformer", 3, "projection"): 30.34,
}

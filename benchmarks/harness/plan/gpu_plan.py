"""What is most worth knowing from a GPU, in order: commands that end within minutes or go on."""

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from df_heads.benchmarks.harness.base.errors import InputError

_FAST = "--compiled --precision bf16-mixed"
_FOUR = "--heads feedforward transformer transformer-self"


@dataclass(frozen=True)
class Entry:
    """One command of the plan.

    Attributes:
        name: Of its results folder.
        benchmark: Which run_*.py, without "run_".
        flags: Its flags, as one string.
        question: What it tells.
        downloads: Whether it needs images that are not part of an installed package.
        rates_from: The entry whose learning rates it takes.
    """

    name: str
    benchmark: str
    flags: str
    question: str
    downloads: bool = True
    rates_from: str | None = None


#: Speed and learning rates first: all later runs are as good as they.
PLAN: tuple[Entry, ...] = (
    Entry(
        "does-it-run",
        "table2",
        f"--smoke --accelerator gpu {_FAST}",
        "Does the compiled step run on this GPU?",
        downloads=False,
    ),
    Entry(
        "speed",
        "speed",
        "--device cuda",
        "How fast are step, head and loss beside their peers?",
        downloads=False,
    ),
    Entry(
        "rates",
        "tuning",
        f"--datasets cifar100 --epochs 100 --rates 0.03 0.1 0.3 0.6 {_FOUR} {_FAST}",
        "Which learning rate does each head need?",
    ),
    Entry(
        "rates-joint",
        "tuning",
        "--datasets cifar100 --epochs 100 --rates 0.03 0.1 0.3 0.6 --heads transformer "
        f"--views joint {_FAST}",
        "Which does it need with both views in one sequence?",
    ),
    *(
        Entry(
            f"{data}-{size}",
            "table2",
            f"--datasets {data} --sizes {size} {_FOUR} {_FAST}",
            f"Table 2, {data}, {size}: does the head gain at 1000 epochs, and by attention?",
            rates_from="rates" if size == "small" else None,
        )
        for size, data in (
            ("small", "cifar100"),
            ("small", "cifar10"),
            ("large", "cifar100"),
            ("large", "cifar10"),
        )
    ),
    Entry(
        "cifar100-joint",
        "table2",
        f"--datasets cifar100 --sizes small --heads transformer --views joint {_FAST}",
        "Do both views in one sequence help?",
        rates_from="rates-joint",
    ),
    *(
        Entry(
            f"{data}-small-seeds",
            "table2",
            f"--datasets {data} --sizes small --seeds 1 2 {_FOUR} {_FAST}",
            f"Table 2, {data}, small: is the gain more than the noise of seeds?",
            rates_from="rates",
        )
        for data in ("cifar100", "cifar10")
    ),
    Entry("table1", "table1", "--epochs 200", "Does Deep Fusion appear over 200 epochs of MNIST?"),
    *(
        Entry(
            f"table{number}",
            f"table{number}",
            f"--datasets cifar100 --sizes small {_FAST}",
            f"Table {number} of the paper.",
            rates_from="rates",
        )
        for number in (3, 4, 5, 6)
    ),
    Entry(
        "small-stem",
        "table2",
        f"--datasets cifar10 --sizes small --stem small --epochs 500 --heads transformer {_FAST}",
        "How far does it come with the stem of public CIFAR benchmarks?",
    ),
    Entry(
        "methods",
        "controls",
        "--suites method --datasets cifar10 --epochs 200 --precision bf16-mixed",
        "Does the head help in MoCo and BYOL?",
    ),
)


def command_flags(entry: Entry, out: Path, data_dir: Path | None) -> list[str] | None:
    """The flags of an entry's command; None while the rates it needs are not known.

    Args:
        entry: Of PLAN.
        out: The folder of all entries' folders.
        data_dir: Where images are; None to download them.

    Raises:
        InputError: If the file with the rates is damaged.
    """
    flags = [*shlex.split(entry.flags), "--out-dir", str(out / entry.name)]
    if entry.downloads and data_dir is not None:
        flags += ["--data-dir", str(data_dir)]
    if entry.rates_from is None:
        return flags
    rates = _rates(out / entry.rates_from)
    return None if rates is None else [*flags, "--learning-rates", *rates]


def _rates(folder: Path) -> Sequence[str] | None:
    files = sorted(folder.glob("tuning*.json"))
    if not files:
        return None
    try:
        chosen = json.loads(files[-1].read_text(encoding="utf-8"))["chosen"]
        return [f"{head}={rate:g}" for head, rate in chosen.items()] or None
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{files[-1]} is damaged ({error!r}); delete it and run the plan again."
        ) from error

"""What a result was made with: versions, commit, hardware."""

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from msgspec import Struct

PACKAGES = ("df-heads", "torch", "torchvision", "lightly", "timm", "pytorch-lightning", "einops")


class Environment(Struct, frozen=True, forbid_unknown_fields=True):
    """What a result was made with.

    Attributes:
        packages: Name -> version; None for one that was not installed.
        python: Version.
        platform: Operating system.
        commit: Of the checkout, "+" behind it if files differed; None outside a checkout.
        hardware: Processor or GPUs.
    """

    packages: dict[str, str | None]
    python: str
    platform: str
    commit: str | None
    hardware: str


def describe_environment(accelerator: str, devices: int) -> Environment:
    """Versions, commit and hardware.

    Args:
        accelerator: The kind of device that ran, "cpu" or "cuda".
        devices: How many of them.
    """
    return Environment(
        packages={name: _version(name) for name in PACKAGES},
        python=platform.python_version(),
        platform=platform.platform(),
        commit=_commit(),
        hardware=_hardware(accelerator, devices),
    )


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _commit() -> str | None:
    """The checkout's commit, "+" if files differ from it; None outside a checkout."""
    here = Path(__file__).resolve().parent

    def git(*arguments: str) -> str:
        done = subprocess.run(
            ["git", "-C", str(here), *arguments], capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    try:
        commit = git("rev-parse", "HEAD")
        tracked = git("ls-files", "--", __file__)
        changed = git("status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.CalledProcessError):
        return None
    if not tracked:  # installed inside some other project's checkout
        return None
    return f"{commit}+" if changed else commit


def _hardware(accelerator: str, devices: int) -> str:
    import torch

    if accelerator == "cuda":
        return f"{devices} x {torch.cuda.get_device_name()}"
    return f"{_processor()}, {torch.get_num_threads()} of {os.cpu_count()} cores"


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()

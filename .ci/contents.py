"""Checks that an sdist and a wheel hold what is in git: git ls-files -z | contents.py DIR."""

import sys
import tarfile
import zipfile
from pathlib import Path

#: Files of git that only a clone has use for.
OF_A_CLONE = (".github/", ".gitignore")
#: Folder of git -> where the wheel has its modules and their data.
INSTALLED = {
    "df_heads/": "df_heads/",
    "integrations/": "df_heads/integrations/",
    "benchmarks/": "df_heads/benchmarks/",
    "hydra_plugins/": "hydra_plugins/",
}
NOT_INSTALLED = "benchmarks/results/"


def main(folder: Path, tracked: list[str]) -> int:
    """Say what is missing or too much; 0 if nothing is."""
    (sdist,), (wheel,) = folder.glob("df_heads-*.tar.gz"), folder.glob("df_heads-*.whl")
    with tarfile.open(sdist) as archive:
        inside = {name.partition("/")[2] for name in archive.getnames()}
    with zipfile.ZipFile(wheel) as archive:
        installed = set(archive.namelist())
    wanted = [name for name in tracked if not name.startswith(OF_A_CLONE)]
    modules = {
        there + name.removeprefix(here)
        for here, there in INSTALLED.items()
        for name in tracked
        if name.startswith(here) and not name.startswith(NOT_INSTALLED)
    }
    faults = [
        *(f"{sdist.name} lacks {name}" for name in wanted if name not in inside),
        *(f"{wheel.name} lacks {name}" for name in sorted(modules - installed)),
        *(
            f"{wheel.name} has {name}, which is in no package"
            for name in sorted(installed - modules)
            if ".dist-info/" not in name
        ),
    ]
    print("\n".join(faults) or f"{sdist.name} and {wheel.name} hold what they should.")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.stdin.read().rstrip("\0").split("\0")))

"""Runs the check_* functions of a test file on this process, one of two.

torch.distributed.run starts it with the file and a folder, which gets RANK.json: the traceback of
each check that failed.
"""

import importlib.util
import json
import sys
import traceback
from datetime import timedelta
from pathlib import Path

from torch import distributed as dist


def main(file: Path, folder: Path) -> None:
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    dist.init_process_group("gloo", timeout=timedelta(seconds=30))
    failures = {}
    for name in [name for name in vars(module) if name.startswith("check_")]:
        try:
            getattr(module, name)()
        except Exception:
            failures[name] = traceback.format_exc()
    (folder / f"{dist.get_rank()}.json").write_text(json.dumps(failures))
    dist.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))

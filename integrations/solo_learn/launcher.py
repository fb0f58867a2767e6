"""Running a solo-learn script in this process, after its methods were registered."""

import os
import sys
from pathlib import Path

import torch

_SCRIPT = "DF_HEADS_SOLO_LEARN_SCRIPT"


def run_script() -> None:
    """Run the script that sys.argv[1] names, with the rest of sys.argv as its arguments.

    It runs in the real __main__ module, whose __spec__ stays that of `python -m`: Lightning starts
    the other processes of a DDP run as `python -m <that module> <sys.argv[1:]>`, so they register
    the methods too. The script's path is no longer among those arguments; they find it in the
    environment.

    Raises:
        SystemExit: If no script is named, or there is none at that path.
    """
    # Lightning sets LOCAL_RANK for the processes it starts, and only there the variable is ours.
    script = os.environ.get(_SCRIPT) if "LOCAL_RANK" in os.environ else None
    if script is None:
        if len(sys.argv) < 2:
            raise SystemExit(
                "Name the solo-learn script to run: python -m df_heads.integrations.solo_learn "
                "main_knn.py [its arguments]"
            )
        script = str(Path(sys.argv.pop(1)).resolve())
        if not Path(script).is_file():
            raise SystemExit(f"There is no script {script}; run this in a clone of solo-learn.")
        os.environ[_SCRIPT] = script
    if not torch.cuda.is_available():
        _stay_on_the_cpu()
    main = sys.modules["__main__"]
    main.__file__ = sys.argv[0] = script
    sys.path.insert(0, str(Path(script).parent))
    exec(compile(Path(script).read_bytes(), script, "exec"), vars(main))


def _stay_on_the_cpu() -> None:
    """Let `.cuda()`, which main_knn.py calls for every batch, hand on what it is called on."""
    print("There is no GPU: what the script would move to one stays on the CPU.", file=sys.stderr)
    for kind in (torch.Tensor, torch.nn.Module):
        kind.cuda = lambda self, *_, **__: self  # type: ignore[method-assign]

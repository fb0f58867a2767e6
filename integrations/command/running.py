"""Running a command: what it cannot help becomes one sentence and an exit code."""

import sys
import warnings
from collections.abc import Callable

from df_heads.integrations.errors import InputError, trouble_of_the_machine
from df_heads.integrations.training.interruption import Interrupted, interruptible


def run_command(main: Callable[[], int]) -> int:
    """Run a command's main.

    Returns:
        Its exit code; 2 for bad input, a missing optional package and a disk that is full or not
        to be written to; 128 and the signal's number if one asked it to stop.
    """
    # Lightning 2.6 against torch 2.15: not the user's concern.
    warnings.filterwarnings("ignore", message=".*isinstance\\(treespec, LeafSpec\\).*")
    try:
        with interruptible():
            return main()
    except InputError as error:
        return _refuse(str(error))
    except ImportError as error:
        # Ours say what to install; others are bugs, or a broken installation.
        if "pip install" not in str(error):
            raise
        return _refuse(str(error))
    except OSError as error:
        sentence = trouble_of_the_machine(error)
        if sentence is None:
            raise
        return _refuse(sentence)
    except Interrupted as stop:
        print(f"\n{stop}", file=sys.stderr)
        return stop.exit_code


def _refuse(sentence: str) -> int:
    print(f"error: {sentence}", file=sys.stderr)
    return 2

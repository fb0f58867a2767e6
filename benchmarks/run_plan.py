"""The runs most worth a GPU's time, one after the other, until the minutes are used up.

    python benchmarks/run_plan.py --minutes 25 --out-dir runs/plan    # as often as there is a GPU
    python benchmarks/run_plan.py --list                              # the commands, none run

The order is that of benchmarks/harness/plan/gpu_plan.py: does it run, how fast, which learning
rates, then the paper's tables. When the time is up the running command gets SIGTERM, writes a
checkpoint and ends; the next call goes on there. A command that was done is not started again.
"""

import argparse
import math
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from df_heads.benchmarks.harness.base.errors import InputError
from df_heads.benchmarks.harness.plan.benchmark import benchmarks
from df_heads.benchmarks.harness.plan.flags import folder, run_script
from df_heads.benchmarks.harness.plan.gpu_plan import PLAN, Entry, command_flags
from df_heads.benchmarks.harness.store.files import read_json, write_json
from df_heads.benchmarks.harness.tables.blocks import Table
from df_heads.benchmarks.harness.tables.text import to_terminal

#: What a command may take for its last step and its checkpoint.
GRACE_SECONDS = 60.0
DONE = "done.json"


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, help="how long to run (needed without --list)")
    parser.add_argument("--list", action="store_true", help="print the commands, run none")
    parser.add_argument(
        "--only",
        nargs="+",
        choices=[entry.name for entry in PLAN],
        metavar="NAME",
        help=f"of the plan: {', '.join(entry.name for entry in PLAN)}",
    )
    parser.add_argument(
        "--out-dir",
        type=folder,
        default=Path("runs/plan"),
        help="a folder for each entry (default: %(default)s)",
    )
    parser.add_argument("--data-dir", type=folder, help="as for the tables (default: download)")
    args = parser.parse_args(arguments)
    if not args.list:
        if args.minutes is None:
            parser.error("--minutes is needed: how long may it run?")
        if not 0 < args.minutes < math.inf:
            parser.error(f"--minutes {args.minutes:g} must be above 0 and finite")
    return args


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the plan, or list it."""
    args = parse(arguments)
    entries = [entry for entry in PLAN if args.only is None or entry.name in args.only]
    if args.list:
        for entry in entries:
            print(f"# {entry.question}\n{shlex.join(_command(entry, args) or [_waiting(entry)])}")
        return 0
    args.out_dir.mkdir(parents=True, exist_ok=True)
    end = time.monotonic() + 60 * args.minutes
    states = {entry.name: "not begun" for entry in entries}
    failed = False
    for entry in entries:
        command = _command(entry, args)
        if command is None:
            states[entry.name] = _waiting(entry)
        elif _is_done(args.out_dir, entry, command):
            states[entry.name] = "done before"
        elif time.monotonic() < end:
            print(f"\n== {entry.name}: {entry.question}\n{shlex.join(command)}", flush=True)
            code = _run(command, end)
            if code == 0:
                _mark_done(args.out_dir, entry, command)
            failed |= code not in (0, None)
            states[entry.name] = {0: "done", None: "stopped, goes on next time"}.get(
                code, f"failed with exit code {code}"
            )
    rows = [[entry.name, entry.question, states[entry.name]] for entry in entries]
    print(f"\n{to_terminal([Table(['entry', 'question', 'state'], rows)])}")
    return 1 if failed else 0


def _command(entry: Entry, args: argparse.Namespace) -> list[str] | None:
    flags = command_flags(entry, args.out_dir, args.data_dir)
    module = f"df_heads.benchmarks.{benchmarks()[entry.benchmark].script}"
    return None if flags is None else [sys.executable, "-m", module, *flags]


def _waiting(entry: Entry) -> str:
    return f"waits for {entry.rates_from}"


def _run(command: Sequence[str], end: float) -> int | None:
    """Run it until it ends or the time is up: its exit code, or None if it was stopped."""
    process = subprocess.Popen(command)
    try:
        return process.wait(max(0.0, end - time.monotonic()))
    except subprocess.TimeoutExpired:
        process.terminate()
    except BaseException:  # asked to stop as well
        process.terminate()
        _wait_or_kill(process)
        raise
    _wait_or_kill(process)
    return None


def _wait_or_kill(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _is_done(out: Path, entry: Entry, command: Sequence[str]) -> bool:
    return _done(out).get(entry.name) == list(command[1:])


def _mark_done(out: Path, entry: Entry, command: Sequence[str]) -> None:
    write_json(out / DONE, {**_done(out), entry.name: list(command[1:])})


def _done(out: Path) -> dict[str, list[str]]:
    """Name -> command of what was done; a command that changed is to be done again."""
    file = out / DONE
    found = read_json(file) if file.exists() else {}
    if not isinstance(found, dict):
        raise InputError(f"{file} is damaged; delete it and run the plan again.")
    return found


if __name__ == "__main__":
    sys.exit(run_script(main))

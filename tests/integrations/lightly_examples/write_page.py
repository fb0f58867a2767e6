"""Plays every example of a clone of lightly and writes the table of docs/lightly-examples.md.

    python write_page.py CLONE [KEPT.json [MINUTES]]

Hours of one CPU core at worst; what was played is kept in KEPT.json and not played again. No script
is begun after so many minutes.
"""

import json
import math
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PLAY = Path(__file__).with_name("play.py")
PAGE = Path(__file__).parents[3] / "docs" / "lightly-examples.md"
FOLDERS = ("pytorch", "pytorch_lightning", "pytorch_lightning_distributed")
BEGIN, END = "<!-- examples -->", "<!-- end of examples -->"
#: Of a script with images of 32 x 32, and of one with 224 x 224.
STEPS, FEW_STEPS = 20, 6
LONGEST = 1800


def examples(clone: Path) -> Iterator[Path]:
    """Every script of the three folders."""
    for folder in FOLDERS:
        yield from sorted((clone / "examples" / folder).glob("*.py"))


def play(script: Path, head: str, steps: int) -> dict[str, Any]:
    """What play.py says of a script; {"failed": its last line} if it fails."""
    done = subprocess.run(
        [sys.executable, str(PLAY), str(script), head, str(steps)],
        capture_output=True,
        text=True,
        timeout=LONGEST,
    )
    if done.returncode:
        return {"failed": (done.stderr or done.stdout).strip().splitlines()[-1]}
    told: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return told


def play_all(clone: Path, kept: Path, minutes: float) -> dict[str, dict[str, Any]]:
    """By "folder/name": what happened with our head and, where it was swapped, with lightly's."""
    found: dict[str, dict[str, Any]] = json.loads(kept.read_text()) if kept.exists() else {}
    last = time.monotonic() + 60 * minutes
    for script in examples(clone):
        name = f"{script.parent.name}/{script.stem}"
        if name in found or time.monotonic() > last:
            continue
        # One folder is trained; in the others the same heads stand in the same models.
        steps = 1
        if script.parent.name == FOLDERS[0]:
            steps = FEW_STEPS if "VOCDetection" in script.read_text() else STEPS
        found[name] = {"df-heads": play(script, "df-heads", steps)}
        if found[name]["df-heads"].get("replaced") and steps > 1:
            found[name]["lightly"] = play(script, "lightly", steps)
        kept.write_text(json.dumps(found, indent=1))
        print(name, flush=True)
    return found


def outcome(told: dict[str, Any]) -> str:
    """Replaced, refused or failed, in a few words."""
    if "failed" in told:
        return f"the script fails by itself: {told['failed']}"
    if told["replaced"]:
        return "replaced: " + ", ".join(f"`{path}`" for path in told["replaced"])
    if "has no projection head to replace" in told["refused"]:
        return "has no projection head of lightly's"
    reason = told["refused"].split(". Pass ")[0]
    return f"refused: {reason}"


def losses(told: dict[str, Any] | None) -> str:
    """Mean of the first and of the last quarter of the losses."""
    values = told["losses"] if told and "losses" in told else []
    if len(values) < 2:
        return ""
    part = max(1, len(values) // 4)
    first, last = (sum(v) / len(v) for v in (values[:part], values[-part:]))
    return f"{first:.4g} → {last:.4g}"


def table(found: dict[str, dict[str, Any]]) -> str:
    """The table, by name of the example."""
    names = sorted({name.split("/")[1] for name in found})
    rows = [
        "| example | folders | what happens | loss, df-heads | loss, lightly |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name in names:
        by_outcome: dict[str, list[str]] = {}
        for folder in FOLDERS:
            told = found.get(f"{folder}/{name}")
            if told is not None:
                by_outcome.setdefault(outcome(told["df-heads"]), []).append(folder)
        for text, folders in by_outcome.items():
            trained = found[f"{folders[0]}/{name}"] if folders[0] == FOLDERS[0] else {}
            ours, own = losses(trained.get("df-heads")), losses(trained.get("lightly"))
            where = "all" if len(folders) == len(FOLDERS) else ", ".join(folders)
            rows.append(f"| {name} | {where} | {text} | {ours} | {own} |")
    return "\n".join(rows)


def whole(found: dict[str, dict[str, Any]], clone: Path) -> str:
    """How many of the clone's scripts were played, and the table."""
    count = len(list(examples(clone)))
    return f"Played: {len(found)} of {count} scripts.\n\n{table(found)}"


if __name__ == "__main__":
    page = PAGE.read_text()
    kept = Path(sys.argv[2]) if len(sys.argv) > 2 else Path("lightly-examples.json")
    clone = Path(sys.argv[1])
    minutes = float(sys.argv[3]) if len(sys.argv) > 3 else math.inf
    made = whole(play_all(clone, kept, minutes), clone)
    before, rest = page.split(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}\n{made}\n{END}{rest.split(END)[1]}")

"""What the front page shows of the results, made from the result files and nothing else.

    python docs/making/front.py     # docs/front.png, docs/badges/*.svg, the numbers in README.md

The sentences are written here; their numbers come from benchmarks/results, and if a verdict is no
longer what a sentence says, nothing is written.
"""

import configparser
import json
import re
import textwrap
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from df_heads.benchmarks.harness.base.statistics import Summary
from df_heads.benchmarks.harness.evaluate.fusing import FusionMaps
from df_heads.benchmarks.harness.plan.benchmark import benchmarks
from df_heads.benchmarks.harness.plots.drawing import COLORS, new_figure
from df_heads.benchmarks.harness.report.sections import Section, read_sections
from df_heads.benchmarks.harness.store.results import ResultFolder
from df_heads.benchmarks.harness.tables.comparisons import Comparison, comparisons_in
from df_heads.benchmarks.harness.tables.values import Gain, Interval
from df_heads.benchmarks.run_table1 import FUSION

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "benchmarks" / "results"
MIXING = RESULTS / "mixing-cifar10-10k"
FUSED = RESULTS / "learning-rate-0.3"
STEP = RESULTS / "speed-step-cpu.json"
FIGURE, BADGES, README = (ROOT / name for name in ("docs/front.png", "docs/badges", "README.md"))
BEGIN, END = "<!-- made by docs/making/front.py -->", "<!-- end -->"
MLP, OFF, UNIFORM = "feedforward", "attention off", "transformer-uniform"
#: What the sentences say.
SAID = {
    ("transformer", OFF): "better",
    ("transformer", MLP): "better",
    ("transformer", UNIFORM): "undecided",
}
#: Family -> how the figure calls it, in its order from the top.
HEADS = {
    "transformer-self": "Transformer,\nattention off",
    "transformer": "Transformer",
    "transformer-tied": "Transformer,\nW_Q = W_K",
    "transformer-uniform": "Transformer,\nuniform attention",
}
ACCURACIES = {"unsup.": "nearest neighbour", "sup.": "linear probe, 10 % of the labels"}

Gains = Mapping[tuple[str, str, str], Comparison]


def section(folder: Path, script: str) -> Section:
    """The section of the report that a script's command made."""
    (found,) = (each for each in read_sections(folder, benchmarks()) if script in each.command)
    return found


def gains() -> Gains:
    """(head, over what, accuracy) -> the paired comparison."""
    found = comparisons_in(section(MIXING, "run_controls.py").blocks)
    return {(one.what, one.over, one.accuracy): one for one in found}


def last_layer() -> FusionMaps:
    """The maps of the run in which the paper's head found the classes."""
    fused = section(FUSED, "run_table1.py")
    (job,) = fused.benchmark.jobs(fused.args)
    maps = FUSION.maps(ResultFolder(FUSED), job.experiment)
    if maps is None:
        raise ValueError(f"{FUSED} has no attention maps.")
    return maps


def draw(found: Gains, maps: FusionMaps, file: Path) -> None:
    """Gains with intervals beside an attention map."""
    figure, axes = new_figure(1, 2, width=9.0, height=4.1)
    left, right = axes[0]
    for number, (accuracy, words) in enumerate(ACCURACIES.items()):
        rows = [len(HEADS) - 1 - row + 0.14 * (1 - 2 * number) for row in range(len(HEADS))]
        points = [
            (found[head, MLP, accuracy].gain, row) for head, row in zip(HEADS, rows, strict=True)
        ]
        left.errorbar(
            [gain.mean for gain, _ in points],
            [row for _, row in points],
            xerr=[_half(gain) for gain, _ in points],
            fmt="o",
            capsize=3,
            color=COLORS[number],
            label=words,
        )
    left.axvline(0, color="0.5", linewidth=0.8, zorder=0)
    left.set_yticks(range(len(HEADS) - 1, -1, -1), list(HEADS.values()))
    # Room for the legend below the last head.
    left.set_ylim(-1.4, len(HEADS) - 0.6)
    left.set_xlabel("points over the paper's feed-forward head")
    left.set_title("What the backbone gains (95 %)")
    left.legend(loc="lower right", fontsize="small", frameon=False)
    weights = maps.maps[-1].astype(np.float32) * len(maps.labels)
    image = right.imshow(weights, cmap="viridis", vmin=0, vmax=float(np.quantile(weights, 0.995)))
    classes, first = np.unique(maps.labels, return_index=True)
    middles = first + np.diff([*first, len(maps.labels)]) / 2
    right.set_xticks(middles, classes, fontsize="small")
    right.set_yticks(middles, classes, fontsize="small")
    right.tick_params(length=0)
    right.set_xlabel("attended digit")
    right.set_ylabel("attending digit")
    right.set_title("Whom the last layer attends to (MNIST)")
    figure.colorbar(image, ax=right, label="times uniform attention", shrink=0.9, extend="max")
    figure.savefig(file, dpi=130, metadata={"Software": None})
    # A third of the bytes, and no difference that an eye would see.
    image_file = Image.open(file).convert("RGB").quantize(255, dither=Image.Dither.NONE)
    image_file.save(file, optimize=True)


def _half(gain: Summary) -> float:
    if gain.interval is None:
        raise ValueError("A figure of intervals needs two seeds or more.")
    return gain.interval[1] - gain.mean


def words(found: Gains) -> str:
    """The sentences of the README on what the head gains, and what a step costs."""
    for (head, over), sentence in SAID.items():
        for accuracy in ACCURACIES:
            verdict = found[head, over, accuracy].verdict
            if verdict != sentence:
                raise ValueError(
                    f"README.md says {sentence!r} of {head} over {over}; the {accuracy} verdict is "
                    f"{verdict!r} now. Write the sentence anew, in {Path(__file__).name}."
                )

    def said(head: str, over: str) -> str:
        each = (found[head, over, accuracy].gain for accuracy in ACCURACIES)
        return " and ".join(f"{Gain(gain)} ({Interval(gain)})" for gain in each)

    step = json.loads(STEP.read_text(encoding="utf-8"))
    views = step["whole_step"]["transformer-small"]["views_per_second"]
    ours, lightly = (views[name]["median"] for name in ("ours, compiled", "lightly's pipeline"))
    seeds = found["transformer", OFF, "unsup."].gain.count
    paragraphs = [
        "**By about a point, on the one budget that was tested with paired seeds**: on CIFAR-10 "
        f"(10,000 images, 10 epochs, {seeds} seeds, the paper's form, each head at its tuned rate) "
        f"the Transformer head gains {said('transformer', OFF)} points, by nearest neighbours and "
        "by a linear probe of the backbone, over the same layers with attention off, and "
        f"{said('transformer', MLP)} over the paper's MLP. **Whether by finding its kind is "
        "open**: over attention to all alike, which finds nobody, its gain is undecided, "
        f"{said('transformer', UNIFORM)}; and the paper's 1000 epochs were not run here.",
        "Speed: on two CPU cores in bf16, ResNet18 at 32 pixels, the whole step does "
        f"{ours:.0f} views a second with `--compiled`, {lightly:.0f} with lightly's pipeline; no "
        "GPU was measured ([speed](docs/speed.md)).",
    ]
    filled = (
        textwrap.fill(each, 119, break_long_words=False, break_on_hyphens=False)
        for each in paragraphs
    )
    return "\n\n".join(filled) + "\n"


def with_words(readme: str, text: str) -> str:
    """The README with the text between its marks."""
    before, _, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        raise ValueError(f"README.md has no {BEGIN} followed by {END}.")
    return f"{before}{BEGIN}\n{text}{END}{after}"


def badges() -> dict[str, str]:
    """File name -> a badge as SVG, of facts that setup.cfg and CITATION.cff state."""
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    paper, licence = (
        re.search(known, citation) for known in (r"arXiv:(\S+?)\"", r"license: (\S+)")
    )
    if paper is None or licence is None:
        raise ValueError("CITATION.cff names no arXiv number or no licence.")
    return {
        "paper": badge("arXiv", paper[1]),
        "python": badge("Python", setup["options"]["python_requires"].replace(">=", "≥ ")),
        "licence": badge("licence", licence[1]),
    }


def badge(left: str, right: str) -> str:
    """Two words on two colors."""
    a, b = (14 + round(6.9 * len(word)) for word in (left, right))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{a + b}" height="20" role="img" '
        f'aria-label="{left}: {right}"><title>{left}: {right}</title>'
        f'<rect width="{a + b}" height="20" rx="3" fill="#00695c"/>'
        f'<path d="M3 0h{a - 3}v20h-{a - 3}a3 3 0 0 1-3-3V3a3 3 0 0 1 3-3z" fill="#444"/>'
        '<g fill="#fff" text-anchor="middle" font-family="Verdana,DejaVu Sans,sans-serif" '
        f'font-size="11"><text x="{a / 2}" y="14">{left}</text>'
        f'<text x="{a + b / 2}" y="14">{right}</text></g></svg>\n'
    )


def main() -> None:
    """Write all of it."""
    found = gains()
    readme = with_words(README.read_text(encoding="utf-8"), words(found))
    draw(found, last_layer(), FIGURE)
    BADGES.mkdir(exist_ok=True)
    for name, svg in badges().items():
        (BADGES / f"{name}.svg").write_text(svg, encoding="utf-8")
    README.write_text(readme, encoding="utf-8")


if __name__ == "__main__":
    main()

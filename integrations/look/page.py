"""The page: sections, their figures, and all of it in one file."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files

from PIL import Image

import df_heads
from df_heads.integrations.look import drawn, sections
from df_heads.integrations.look.charts import Chart, Line, level
from df_heads.integrations.look.curve import QUALITIES, Curve
from df_heads.integrations.look.gallery import Gallery
from df_heads.integrations.look.measured import Attention, Depth, Measured
from df_heads.integrations.look.subject import Subject

#: A loss this near to that of a collapse is one.
_NEAR_COLLAPSE = 0.01


@dataclass(frozen=True)
class Page:
    """What is written.

    Attributes:
        html: The page.
        figures: By name of their PNG files.
    """

    html: str
    figures: dict[str, Image.Image]


def build_page(subject: Subject, gallery: Gallery, measured: Measured) -> Page:
    """Put the page and its figures together."""
    attention = measured.attention
    shown = {first for first, _ in measured.rows} | {i for _, row in measured.rows for i, _ in row}
    if attention is not None:
        shown |= {i for first, row in attention.rows for i in [first, *(j for j, _ in row)]}
    thumbs = {i: drawn.data_uri(gallery.thumbnail(i, 96), photo=True) for i in sorted(shown)}
    figures = {
        "neighbours.png": drawn.rows_figure(gallery, measured.rows, ".2f"),
        "map.png": drawn.map_figure(gallery, measured.places),
    }
    parts = [sections.facts(subject)]
    found: list[Chart] = []
    if attention is None:
        parts.append(_no_attention(subject))
    else:
        parts.append(sections.attention_map(gallery, attention))
        parts.append(sections.most_attended(gallery, attention, thumbs))
        figures["attends-to.png"] = drawn.rows_figure(gallery, attention.rows, ".1%")
        for number, weights in enumerate(attention.maps, start=1):
            name = f"attention-layer-{number}.png"
            figures[name] = drawn.attention_figure(gallery, attention.batch, weights)
    parts.append(sections.neighbors(gallery, measured, thumbs))
    parts.append(sections.plane(gallery, measured))
    if attention is not None:
        depth = _depth_charts(attention)
        parts.append(
            sections.charts("depth", "Fusion over depth", _depth_texts(gallery, attention), depth)
        )
        found += depth
    parts.append(_training(subject.curve, found))
    figures |= {f"{chart.name}.png": drawn.chart_figure(chart) for chart in found}
    return Page(_whole(subject, gallery, attention, parts), figures)


def _no_attention(subject: Subject) -> str:
    return sections.section(
        "attention",
        "Who attends to whom",
        sections.paragraph(
            f"The head ({subject.head_title}) takes each picture by itself, so there is no "
            "attention to show, and no fusion to measure. Below is what the backbone learned."
        ),
    )


def _depth_charts(attention: Attention) -> list[Chart]:
    xs = list(range(1, len(attention.maps) + 1))

    def chart(name: str, title: str, label: str, depth: Depth, uniform: str) -> Chart:
        lines = [
            Line("this head", depth.trained),
            Line("the same head untrained", depth.untrained, "control"),
            level(uniform, depth.uniform, xs),
        ]
        return Chart(name, title, "layer", label, xs, lines, from_zero=True)

    charts = []
    if attention.same_class is not None:
        charts.append(
            chart(
                "fusion-same-class",
                "Attention on other pictures of the same class, by layer",
                "share of the attention",
                attention.same_class,
                f"chance, as even attention gives: {attention.same_class.uniform:.3f}",
            )
        )
    charts.append(
        chart(
            "fusion-entropy",
            "Entropy of the attention, by layer: low is chosen, high is even",
            "entropy (nats)",
            attention.entropy,
            f"even attention: log {attention.tokens} = {attention.entropy.uniform:.2f}",
        )
    )
    return charts


def _depth_texts(gallery: Gallery, attention: Attention) -> list[str]:
    texts = [
        f"Measured on {attention.tokens} pictures as one batch, means over the attention heads. "
        "The controls are the same head with fresh weights, and attention that is shared evenly."
    ]
    same = attention.same_class
    if same is None:
        texts.append(
            "Without two classes of two pictures or more there is no share on the same class to "
            "show; class folders give one."
        )
        return texts
    defined = [(v, i) for i, v in enumerate(same.trained) if v is not None]
    if not defined:
        texts.append("In this head pictures attend to themselves only, so nothing can fuse.")
        return texts
    best, layer = max(defined)
    relation = best / same.uniform
    verdict = (
        "above chance: pictures of a class attend to each other"
        if relation > 1.1
        else "about chance: the head does not seek out pictures of the same class"
    )
    texts.append(
        f"At most, in layer {layer + 1}, a picture gives {best:.3f} of its attention to others of "
        f"its class; evenly shared it would be {same.uniform:.3f}. That is {verdict}."
    )
    return texts


def _training(curve: Curve | None, found: list[Chart]) -> str:
    if curve is None:
        return sections.section(
            "training",
            "Training",
            sections.paragraph(
                "There is no training curve beside the weights; a run folder of df-heads train "
                "has one."
            ),
        )
    lines = [Line("loss", curve.loss)]
    texts = [f"{len(curve.epochs)} epochs; the last had a mean loss of {curve.loss[-1]:.3f}."]
    if curve.collapsed_loss is not None:
        name = f"collapse: {curve.collapsed_loss:.3f}"
        lines.append(level(name, curve.collapsed_loss, curve.epochs))
        relation = curve.loss[-1] / curve.collapsed_loss - 1
        texts.append(
            f"If all projections were equal the loss would be {curve.collapsed_loss:.3f}, "
            f"{curve.collapsed_why}. "
            + (
                "It is there: the head has collapsed, or has learned nothing yet."
                if abs(relation) < _NEAR_COLLAPSE
                else "It is below: the head has not collapsed."
                if relation < 0
                else "It is above, where training starts: the head has learned nothing yet."
            )
        )
    else:
        texts.append(
            "For this method no loss tells a collapse, since it is lowest where all outputs are "
            "equal; CollapseMonitor looks at the outputs instead."
        )
    charts = [
        Chart("training-loss", "Mean loss of every epoch", "epoch", "loss", curve.epochs, lines)
    ]
    measured = [value for value in curve.quality if math.isfinite(value)]
    if measured:
        label = QUALITIES[curve.quality_name]
        texts.append(f"{label} went from {measured[0]:.3g} to {measured[-1]:.3g}.")
        line = Line(label, curve.quality)
        title = f"{label} after every epoch"
        charts.append(
            Chart(f"training-{curve.quality_name}", title, "epoch", label, curve.epochs, [line])
        )
    found += charts
    return sections.charts("training", "Training", texts, charts)


def _whole(
    subject: Subject, gallery: Gallery, attention: Attention | None, parts: Sequence[str]
) -> str:
    image, columns = drawn.atlas(gallery)
    data: dict[str, object] = {
        "titles": [gallery.title(i) for i in range(len(gallery))],
        "columns": columns,
    }
    if attention is not None:
        maps = attention.maps
        data |= {
            "batch": attention.batch,
            "layer": attention.sharpest,
            "maps": [[[round(w, 4) for w in row] for row in m.tolist()] for m in maps],
            "most": [round(float(m.max()), 4) for m in maps],
            "images": [drawn.data_uri(drawn.heat_map(m)) for m in maps],
            "alts": [sections.map_alt(gallery, attention, i) for i in range(len(maps))],
        }
    # </script> in a file's name would end the data.
    content = json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")
    here = files("df_heads.integrations.look")
    style, script = (here.joinpath(name).read_text("utf-8") for name in ("page.css", "page.js"))
    title = f"A look at {subject.name}"
    kinds = len(gallery.group_names)
    groups = f"{kinds} classes" if gallery.has_classes else "no classes"
    links = (("attention", "attention"), ("neighbours", "neighbours"), ("map", "map"))
    more = [("depth", "fusion over depth")] if attention is not None else []
    nav = "".join(
        f'<a href="#{anchor}">{name}</a>' for anchor, name in [*links, *more, ("training",) * 2]
    )
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="generator" content="df-heads {df_heads.__version__} look">
<link rel="icon" href="data:,">
<title>{escape(title)}</title>
<style>
{style}:root {{ --atlas: url({drawn.data_uri(image, photo=True)}); }}
</style>
</head>
<body>
<main>
<h1>{escape(title)}</h1>
<p class="lead">What the model makes of {len(gallery)} pictures of {groups}.</p>
<nav aria-label="Sections">{nav}</nav>
{"".join(parts)}
<footer><p>Made by <code>df-heads look</code>, df-heads {df_heads.__version__}. The page needs no
network; its figures lie beside it as PNG files.</p></footer>
</main>
<div class="tip"><div class="thumb"></div><span></span></div>
<script type="application/json" id="data">{content}</script>
<script>
{script}</script>
</body>
</html>
"""

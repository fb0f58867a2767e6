"""The sections of the page, as HTML."""

import re
from collections.abc import Callable, Sequence
from html import escape

from df_heads.integrations.look.charts import Chart, legend, svg
from df_heads.integrations.look.drawn import color_of, data_uri, heat_map, scale, strip
from df_heads.integrations.look.gallery import Gallery
from df_heads.integrations.look.measured import Attention, Measured, Row
from df_heads.integrations.look.subject import Subject

_FLAG = re.compile(r"--[\w-]+")
#: Pictures whose share of all attention is told.
_FAVOURITES = 3
#: More names than this are not listed under the map.
_MOST_NAMES = 20
#: A share within this of the even one is no choice.
_NEAR_EVEN = 0.1


def section(anchor: str, title: str, *parts: str) -> str:
    """A section with a heading."""
    return f'<section id="{anchor}"><h2>{escape(title)}</h2>{"".join(parts)}</section>'


def paragraph(text: str) -> str:
    """Plain text as a paragraph."""
    return f"<p>{escape(text)}</p>"


def notes(texts: Sequence[str]) -> str:
    """What a reader must know before the numbers."""
    return f'<div class="note">{"".join(map(paragraph, texts))}</div>' if texts else ""


def facts(subject: Subject) -> str:
    """What is looked at."""
    rows = "".join(f"<dt>{escape(k)}</dt><dd>{_whole_flags(v)}</dd>" for k, v in subject.facts)
    return section("model", "The model", f"<dl>{rows}</dl>", notes(subject.notes))


def _whole_flags(text: str) -> str:
    """Text as HTML in which no line ends within the name of a flag."""
    return _FLAG.sub(r'<span class="word">\g<0></span>', escape(text))


def attention_map(gallery: Gallery, attention: Attention) -> str:
    """Who attends to whom, layer by layer."""
    count = len(attention.batch)
    weights = attention.maps[attention.sharpest]
    layers = "".join(
        f'<label><input type="radio" name="layer" value="{i}"'
        f"{' checked' if i == attention.sharpest else ''}>{i + 1}</label>"
        for i in range(len(attention.maps))
    )
    names = ", ".join(gallery.title(i) for i in attention.batch)
    axis = f"The {count} pictures of the map in order: {names}"
    by = "class" if gallery.has_classes else "cluster"
    grid = f"grid-template:minmax(0,1fr) minmax(0,{count}fr)/minmax(0,1fr) minmax(0,{count}fr)"
    matrix = (
        f'<div class="matrix" style="{grid}"><div></div>'
        f'<div class="top"><img alt="Columns, who is attended to. {escape(axis)}" '
        f'src="{data_uri(strip(gallery, attention.batch), photo=True)}"></div>'
        f'<div class="side"><img alt="Rows, who attends. {escape(axis)}" '
        f'src="{data_uri(strip(gallery, attention.batch, upright=True), photo=True)}"></div>'
        '<div class="cells" tabindex="0" role="group" aria-label="Point at a cell, or use the '
        'arrow keys, to read a weight">'
        f'<img class="pixels" alt="{escape(map_alt(gallery, attention, attention.sharpest))}" '
        f'src="{data_uri(heat_map(weights))}"><div class="cursor"></div></div></div>'
    )
    ramp = (
        f'<div class="ramp"><span>0 %</span><img alt="Colours from dark, no attention, to bright, '
        f'the most" src="{data_uri(scale())}"><span class="most">{_percent(float(weights.max()))}'
        "</span></div>"
    )
    return section(
        "attention",
        "Who attends to whom",
        paragraph(
            f"{count} pictures go through the head as one batch, sorted by {by}. The row of a "
            "picture shows how it shares its attention among all of them, as the mean over the "
            "attention heads. The colour of a frame is the "
            f"{by}. {_evenness(attention)}"
        ),
        f'<div class="beside">{matrix}<div>'
        f'<fieldset class="layers"><legend>Layer</legend>{layers}</fieldset>{ramp}'
        '<p class="said" aria-live="polite">Point at a cell of the map to read the two pictures '
        "and the weight.</p></div></div>",
    )


def map_alt(gallery: Gallery, attention: Attention, layer: int) -> str:
    """A map in words."""
    weights = attention.maps[layer]
    count = len(weights)
    others = weights.clone().fill_diagonal_(0)
    row, column = divmod(int(others.argmax()), count)
    own = float(weights.diagonal().mean())
    return (
        f"Attention of layer {layer + 1}, {count} by {count} pictures: a picture gives "
        f"{_percent(own)} to itself on average; the most that one gives to another is "
        f"{_percent(float(others.max()))}, from {gallery.title(attention.batch[row])} to "
        f"{gallery.title(attention.batch[column])}."
    )


def most_attended(gallery: Gallery, attention: Attention, thumbs: dict[int, str]) -> str:
    """Whom some pictures attend to most."""
    return section(
        "most",
        "What each picture attends to most",
        paragraph(
            f"Left a picture, beside it the others that it gives most of its attention to in layer "
            f"{attention.sharpest + 1}, where attention is farthest from even, with their share. "
            f"Evenly shared each would get {_percent(1 / len(attention.batch))}. "
            f"{_favourites(attention)}"
        ),
        _rows(gallery, attention.rows, thumbs, "gets", _percent),
    )


def neighbors(gallery: Gallery, measured: Measured, thumbs: dict[int, str]) -> str:
    """Whom the features put next to whom."""
    said = (
        "Left a picture, beside it those whose features are most like its own, with their cosine "
        "similarity. "
    )
    if measured.agreement is not None:
        said += (
            f"Of all {len(gallery)} pictures, {_percent(measured.agreement)} have a nearest "
            f"neighbour of their own class; of random neighbours it would be "
            f"{_percent(measured.chance)}."
        )
    else:
        said += "There are no classes, so it is for your eyes to judge them."
    rows = _rows(gallery, measured.rows, thumbs, "similarity", lambda value: f"{value:.2f}")
    return section("neighbours", "Nearest neighbours", paragraph(said), rows)


def plane(gallery: Gallery, measured: Measured) -> str:
    """All pictures in two dimensions."""
    width, height, edge = 760, 520, 24
    count = len(gallery.group_names)
    dots = "".join(
        f'<circle data-i="{i}" cx="{edge + x * (width - 2 * edge):.0f}" '
        f'cy="{edge + (1 - y) * (height - 2 * edge):.0f}" r="7" '
        f'fill="{_css(int(gallery.groups[i]), count)}"><title>{escape(gallery.title(i))}</title>'
        "</circle>"
        for i, (x, y) in enumerate(measured.places.tolist())
    )
    by = "class" if gallery.has_classes else "cluster (k-means of the features)"
    alt = f"Map of {len(gallery)} pictures, coloured by {by}, {measured.places_said}"
    listed = "".join(
        f'<li><span class="swatch" style="--c:{_css(group, count)}"></span>{escape(name)}</li>'
        for group, name in enumerate(gallery.group_names[:_MOST_NAMES])
    )
    if count > _MOST_NAMES:
        listed += f"<li>and {count - _MOST_NAMES} more: point at a dot</li>"
    return section(
        "map",
        "Map of the features",
        paragraph(
            f"Every dot is one of {len(gallery)} pictures, placed {measured.places_said}. "
            f"Colours are the {by}. Point at a dot to see its picture."
        ),
        f'<svg class="map" viewBox="0 0 {width} {height}" role="img" aria-label="{escape(alt)}">'
        f"{dots}</svg>",
        f'<ul class="legend">{listed}</ul>',
    )


def charts(anchor: str, title: str, texts: Sequence[str], found: Sequence[Chart]) -> str:
    """Charts side by side, under what to read in them."""
    figures = "".join(
        f"<figure>{svg(chart)}{legend(chart)}<figcaption>{escape(chart.title)}</figcaption></figure>"
        for chart in found
    )
    return section(anchor, title, *map(paragraph, texts), f'<div class="two">{figures}</div>')


def _favourites(attention: Attention) -> str:
    """Whether all attend to the same few."""
    received = attention.maps[attention.sharpest].mean(dim=0)
    count = min(_FAVOURITES, len(received))
    share = float(received.topk(count).values.sum())
    return (
        f"The {count} pictures that are attended to most get {_percent(share)} of all attention; "
        f"evenly shared it would be {_percent(count / len(received))}."
    )


def _evenness(attention: Attention) -> str:
    count = len(attention.batch)
    most = max(float(m.clone().fill_diagonal_(0).max()) for m in attention.maps)
    if most < (1 + _NEAR_EVEN) / count:
        return (
            "In no layer does a picture choose whom to attend to: no weight exceeds an even share "
            f"by {_NEAR_EVEN:.0%}, so the colours show differences that hardly matter."
        )
    return (
        f"An even share is {_percent(1 / count)}; the most that one gives to another, in any "
        f"layer, is {_percent(most)}."
    )


def _rows(
    gallery: Gallery,
    rows: Sequence[Row],
    thumbs: dict[int, str],
    verb: str,
    number: Callable[[float], str],
) -> str:
    count = len(gallery.group_names)
    found = []
    for first, others in rows:
        figures = [_figure(gallery, first, thumbs, count, "", gallery.title(first), same=True)]
        for index, value in others:
            text = number(value)
            alt = f"{gallery.title(index)}, {verb} {text} for {gallery.title(first)}"
            same = bool(gallery.groups[index] == gallery.groups[first])
            figures.append(_figure(gallery, index, thumbs, count, text, alt, same=same))
        found.append(f'<div class="row">{"".join(figures)}</div>')
    return f'<div class="rows">{"".join(found)}</div>'


def _figure(
    gallery: Gallery,
    index: int,
    thumbs: dict[int, str],
    count: int,
    text: str,
    alt: str,
    *,
    same: bool,
) -> str:
    name = gallery.group_of(index) if gallery.has_classes else ""
    kind = "" if same or not gallery.has_classes else ' class="other"'
    named = f'<span{kind} title="{escape(name)}">{escape(name)}</span>' if name else ""
    said = f"{named}<span>{text}</span>" if text else named
    return (
        f'<figure style="--c:{_css(int(gallery.groups[index]), count)}">'
        f'<img alt="{escape(alt)}" src="{thumbs[index]}"><figcaption>{said}</figcaption></figure>'
    )


def _css(group: int, count: int) -> str:
    return "#{:02x}{:02x}{:02x}".format(*color_of(group, count))


def _percent(share: float) -> str:
    # A number and its sign stay on one line.
    return f"{100 * share:.{0 if share >= 0.1 else 1}f}\N{NO-BREAK SPACE}%"

"""Charts as SVG that take the page's own text colour, so that they read in light and dark."""

import re
import sys
from collections.abc import Mapping, Sequence

import pygal
from pygal.style import Style

# For its maps, which nobody here uses, pygal hooks into every later import of the process in a way
# that Python warns of.
sys.meta_path[:] = [
    finder for finder in sys.meta_path if not isinstance(finder, pygal.PluginImportFixer)
]

WIDTH, HEIGHT = 720, 280
MOST_NAMES = 12
"""Of more than these only some are written below a chart; all stand in the table beside it."""
COLOURS = ("#3b82f6", "#d97706", "#059669", "#dc2626", "#8b5cf6", "#0891b2")
STYLE = Style(
    background="transparent",
    plot_background="transparent",
    foreground="currentColor",
    foreground_strong="currentColor",
    foreground_subtle="currentColor",
    guide_stroke_color="rgba(128,128,128,.3)",
    major_guide_stroke_color="rgba(128,128,128,.3)",
    colors=COLOURS,
    font_family="inherit",
    label_font_size=12,
    major_label_font_size=12,
    legend_font_size=13,
)
PLAIN = {
    "style": STYLE,
    "js": [],
    "width": WIDTH,
    "height": HEIGHT,
    "legend_at_bottom": True,
    "show_minor_x_labels": True,
    "no_data_text": "",
    "truncate_label": -1,
}

Series = Mapping[str, Sequence[float | None]]


def bars(names: Sequence[str], series: Series, *, highest: float | None = None) -> str:
    """A group of bars for each name, one for each series."""
    chart = pygal.Bar(**PLAIN, range=(0, highest) if highest else None)
    return drawn(chart, names, series)


def lines(names: Sequence[str], series: Series) -> str:
    """A line for each series over the names."""
    chart = pygal.Line(**PLAIN, dots_size=3)
    return drawn(chart, names, series)


def drawn(chart: pygal.graph.graph.Graph, names: Sequence[str], series: Series) -> str:
    each = -(-len(names) // MOST_NAMES)
    chart.x_labels = [name if place % each == 0 else "" for place, name in enumerate(names)]
    for name, values in series.items():
        chart.add(name, list(values))
    return inert(str(chart.render(is_unicode=True, disable_xml_declaration=True)))


def inert(svg: str) -> str:
    """What pygal drew without its script and inline styles, which a strict page forbids."""
    return re.sub(r"<script.*?</script>", "", svg, flags=re.DOTALL).replace(
        'style="opacity: 0"', 'opacity="0"'
    )

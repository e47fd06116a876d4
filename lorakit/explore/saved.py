"""A chart that stays alive in a saved notebook, with no kernel and no network."""

import json
import sys
from base64 import b64encode
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import altair as alt
import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from lorakit.explore.view import to_png

MIME = "application/vnd.vegalite.v5+json"  # JupyterLab and Voilà draw it by themselves
_CSS = (  # as wide as the page, and menus in a column
    ".vega-embed:has(.vega-bindings) {display: block; min-width: 290px; max-width: 760px} "
    ".vega-bind label {display: flex; align-items: center; margin: 4px 0; font-size: 13px} "
    ".vega-bind-name {width: 130px; flex: none} .vega-bind select {min-width: 0} "
    ".vega-bind input {width: 150px; margin-right: 8px}"
)
_OPTIONS = {MIME: {"embed_options": {"actions": False, "renderer": "svg", "defaultStyle": _CSS}}}
_INK = "#333333"


@dataclass(frozen=True)
class SavedChart:
    """A Vega-Lite chart, its message in words, and a still picture for pages that draw none."""

    chart: alt.LayerChart
    finding: str
    still: Callable[[], Figure]

    def output(self) -> dict:
        """What JupyterLab and Voilà need of it: an output of a cell."""
        data = {MIME: json.loads(self.chart.to_json()), "text/plain": self.finding}
        return {"output_type": "display_data", "data": data, "metadata": _OPTIONS}

    def _repr_mimebundle_(self, **kwargs: object) -> tuple[dict, dict]:
        """The chart, and its picture for GitHub; for Colab a page that fetches its scripts."""
        data, figure = self.output()["data"], self.still()
        data["image/png"] = b64encode(to_png(figure)).decode()
        plt.close(figure)  # a notebook would show it too
        if "google.colab" in sys.modules:
            data["text/html"] = self.chart.to_html()
        return data, _OPTIONS


def choice(
    name: str, text: str, options: list[str], value: str, labels: Iterable[str] | None = None
) -> alt.Parameter:
    """A menu inside a chart."""
    bind = alt.binding_select(options=options, labels=list(labels or options), name=text)
    return alt.param(name=name, bind=bind, value=value)


def card(
    chart: alt.LayerChart, title: object, remark: str = "", height: int = 300
) -> alt.LayerChart:
    """The look of the course's figures, as wide as the page, on white in a dark theme too."""
    words = {"anchor": "start", "frame": "bounds", "offset": 10, "fontSize": 13, "color": _INK}
    words |= {"subtitle": remark, "subtitleFontSize": 12, "subtitleColor": _INK}
    title = alt.TitleParams(title, **words)
    chart = chart.properties(title=title, width="container", height=height, background="white")
    axis = {"labelColor": _INK, "titleColor": _INK, "labelFontSize": 12, "titleFontSize": 12}
    axis |= {"gridColor": "#E6E6E6", "domainColor": "#999999", "tickColor": "#999999"}
    legend = {"orient": "bottom", "columns": 2, "offset": 30, "labelColor": _INK}
    return (
        chart.configure(font="DejaVu Sans, Arial, sans-serif", padding=8)
        .configure_view(stroke=None)
        .configure_axis(**axis)
        .configure_legend(title=None, labelFontSize=12, symbolSize=100, symbolOpacity=1, **legend)
        .configure_text(fontSize=12, color=_INK)
    )

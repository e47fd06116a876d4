"""A chart that stays alive in a saved notebook, with no kernel and no network."""

import json
import sys
from base64 import b64encode
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from io import BytesIO

import altair as alt
from PIL import Image

from lorakit.figures.style import METHOD_COLOURS

MIME = "application/vnd.vegalite.v5+json"  # JupyterLab and Voilà draw it by themselves
_CSS = (  # as wide as the page, and menus in a column
    ".vega-embed:has(.vega-bindings) {display: block; min-width: 290px; max-width: 760px; "
    "margin-right: 16px} "
    ".vega-bind label {display: flex; align-items: center; margin: 4px 0; font-size: 13px} "
    ".vega-bind-name {flex: 0 0 120px} .vega-bind :is(select, input) {flex: 0 1 auto; min-width: 0}"
    " .vega-bind input {flex-basis: 180px; margin-right: 8px}"
    " .vega-bind [name=budget] + span {display: none}"  # a power of ten; the chart says it in full
)
_COLUMNS = {"signal": "containerSize()[0] < 620 ? 1 : 2"}  # of panels beside each other
_OPTIONS = {MIME: {"embed_options": {"actions": False, "renderer": "svg", "defaultStyle": _CSS}}}
INK = "currentColor"  # of the page, so that a dark theme shows it too
COLOURS = METHOD_COLOURS | {"full": INK}


@dataclass(frozen=True)
class SavedChart:
    """A Vega-Lite chart, and its message in words."""

    chart: alt.LayerChart | alt.ConcatChart
    finding: str

    def output(self) -> dict:
        """What JupyterLab and Voilà need of it: an output of a cell."""
        spec = json.loads(self.chart.to_json()) | {"description": self.finding}
        _hide_decoration(spec)
        if "concat" in spec:
            spec["columns"] = _COLUMNS
        data = {MIME: spec, "text/plain": self.finding}
        return {"output_type": "display_data", "data": data, "metadata": _OPTIONS}

    def _repr_mimebundle_(self, **kwargs: object) -> tuple[dict, dict]:
        """The chart, and its picture for GitHub; for Colab a page that fetches its scripts."""
        data = self.output()["data"] | {"image/png": self.still()}
        if "google.colab" in sys.modules:
            data["text/html"] = self.chart.to_html(**_OPTIONS[MIME])
        return data, _OPTIONS

    def still(self) -> str:
        """The chart as it opens, on white: a PNG in base 64."""
        wide = {"width": 640} if isinstance(self.chart, alt.LayerChart) else {}
        drawn, small = BytesIO(), BytesIO()
        self.chart.properties(background="white", **wide).save(drawn, "png", scale_factor=1.5)
        Image.open(drawn).convert("RGB").quantize().save(small, "png", optimize=True)
        return b64encode(small.getvalue()).decode()


def _hide_decoration(spec: dict) -> None:
    """From screen readers: marks that say nothing when one hovers over them."""
    for part in (*spec.get("layer", ()), *spec.get("concat", ())):
        _hide_decoration(part)
    if "mark" in spec and "tooltip" not in spec.get("encoding", {}):
        spec["mark"]["aria"] = False


def choice(
    name: str, text: str, options: Sequence, value: object, labels: Iterable | None = None
) -> alt.Parameter:
    """A menu inside a chart."""
    shown = [str(label) for label in labels or options]
    bind = alt.binding_select(options=options, labels=shown, name=text)
    return alt.param(name=name, bind=bind, value=value)


def slider(
    name: str, text: str, low: float, high: float, value: float, step: float = 1
) -> alt.Parameter:
    """A number inside a chart."""
    bind = alt.binding_range(min=low, max=high, step=step, name=text)
    return alt.param(name=name, bind=bind, value=value)


def said(chart: alt.Chart, x: object, y: object, words: str, **look: object) -> alt.Chart:
    """Words that an expression gives, at a place in pixels."""
    text = chart.transform_calculate(said=words)
    text = text.mark_text(lineHeight=16, **{"align": "left"} | look)
    return text.encode(x=alt.value(x), y=alt.value(y), text="said:N")


def card(chart: alt.TopLevelMixin, title: object, remark: object = "") -> alt.TopLevelMixin:
    """The look of the course's figures, as wide as the page and in the page's own ink."""
    words = {"anchor": "start", "frame": "bounds", "offset": 10, "fontSize": 13, "color": INK}
    words |= {"subtitle": remark, "subtitleFontSize": 12, "subtitleColor": INK}
    title = alt.TitleParams(title, **words)
    width = {"width": "container"} if isinstance(chart, alt.LayerChart) else {}
    chart = chart.properties(title=title, **width)
    axis = {"labelColor": INK, "titleColor": INK, "labelFontSize": 12, "titleFontSize": 12}
    for part, opacity in (("grid", 0.12), ("domain", 0.5), ("tick", 0.5)):
        axis |= {f"{part}Color": INK, f"{part}Opacity": opacity}
    legend = {"orient": "bottom", "columns": 2, "offset": 30, "labelColor": INK}
    return (
        chart.configure(font="DejaVu Sans, Arial, sans-serif", padding=8, background="transparent")
        .configure_view(stroke=None, continuousWidth=215, continuousHeight=300)
        .configure_axis(**axis)
        .configure_legend(title=None, labelFontSize=12, symbolSize=100, symbolOpacity=1, **legend)
        .configure_text(fontSize=12, color=INK)
    )

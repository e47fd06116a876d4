"""The frame of every explorer: controls, a sentence, a picture; answers each move at once."""

import asyncio
import math
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Mapping
from functools import partial
from html import escape

import ipywidgets as widgets

from lorakit.explore.view import View, static_png, to_png

Controls = Mapping[str, widgets.Widget]

_PAUSE = 0.008  # seconds in which moves are gathered into one picture
_FORGET = 0.5  # seconds after which a planned picture is no longer waited for
# JupyterLab hands moves to another thread than cells, and matplotlib's settings are global
_DRAWING = threading.RLock()
_WHOLE = ",.0f"  # the form of a scale that shows whole numbers
_CSS = (  # content as narrow as the page, instead of cut off; on a phone the picture comes first
    "<style>.lorakit-explorer .widget-html-content, .lorakit-explorer .widget-html "
    "{min-width: 0; width: 100%; margin-left: 0; margin-right: 0; line-height: 1.35} "
    "@media (max-width: 600px) {.lorakit-controls {order: 2}}</style>"
)
_WRAP = {"display": "flex", "flex_flow": "row wrap", "width": "100%"}
_LEFT = {"flex": "1 1 300px", "max_width": "460px", "margin": "0 16px 8px 0"}
_RIGHT = {"flex": "2 1 340px", "min_width": "0"}


class Explorer(widgets.VBox):
    """Controls beside a picture that follows them.

    Args:
        view: a plain function of the controls' values; a ValueError of it is shown in words.
        controls: by the name of the argument of ``view`` that each gives.
        rules: called before each picture; hides what does not matter; may return a remark.
        extra: widgets to stand below the controls.
        invite: what to try first.
    """

    def __init__(
        self,
        view: Callable[..., View],
        controls: Controls,
        *,
        rules: Callable[[Controls], str | None] = lambda controls: None,
        extra: tuple[widgets.Widget, ...] = (),
        invite: str = "",
    ) -> None:
        self.view, self.controls, self.rules = view, dict(controls), rules
        self.now: View | None = None
        self.drawn = 0  # pictures so far
        self._busy, self._waiting_since = False, -math.inf
        self.finding, self.message = widgets.HTML(), widgets.HTML()
        self.picture = widgets.HTML(layout={"max_width": "100%"})  # an Image has no alt text
        self.details = widgets.HTML(layout={"max_width": "100%"})
        for control in self.controls.values():
            control.layout.width, control.layout.margin = "auto", "2px 0"
            if "description_width" in control.style.traits():
                control.style.description_width = "130px"
            control.observe(self._changed, "value")
        words = [widgets.HTML(f"<i>Try: {escape(invite)}</i>")] if invite else []
        left = [*words, *self.controls.values(), *extra, self.message]
        left = widgets.VBox(left, layout=_LEFT).add_class("lorakit-controls")
        right = widgets.VBox([self.finding, self.picture, self.details], layout=_RIGHT)
        super().__init__([widgets.HTML(_CSS), widgets.Box([left, right], layout=_WRAP)])
        self.add_class("lorakit-explorer")
        self.draw()

    def draw(self) -> None:
        """Show the picture of the controls' present values."""
        with _DRAWING:
            self._busy, self._waiting_since = True, -math.inf
            values = self._values()
            try:
                reason = self.rules(self.controls)
                values = self._values()
                self.show(self.view(**values), reason or "")
            except Exception as error:
                self._fail(error)
            finally:
                self._busy = False
        if values != self._values():  # moved meanwhile
            self._changed()

    def show(self, view: View, reason: str = "") -> None:
        """Put a view on the page, and a remark."""
        self.now = view
        source = b64encode(to_png(view.figure)).decode()
        width, height = view.figure.canvas.get_width_height()
        words = escape(view.finding)
        self.picture.value = (  # sizes and sync decoding, so that nothing jumps or flickers
            f'<img src="data:image/png;base64,{source}" alt="{words}" width="{width}" '
            f'height="{height}" decoding="sync" style="max-width:100%;height:auto">'
        )
        self.finding.value = f'<div style="font-weight:bold;line-height:1.35">{words}</div>'
        self.say(reason)
        self.drawn += 1
        _soon(self._finish, view)

    def say(self, text: str, *, alert: bool = False) -> None:
        """A remark below the controls; an alert is read aloud at once."""
        look = 'role="alert" style="color:#B00020' if alert else 'role="status" style="color:#555'
        self.message.value = f'<div {look};line-height:1.35">{escape(text)}</div>' if text else ""

    def _values(self) -> dict[str, object]:
        """By name; a scale that shows whole numbers gives whole numbers."""
        return {
            name: round(c.value) if getattr(c, "readout_format", "") == _WHOLE else c.value
            for name, c in self.controls.items()
        }

    def _changed(self, _change: object = None) -> None:
        """Draw soon, once for all moves that arrive until then."""
        if not self._busy and time.monotonic() - self._waiting_since >= _FORGET:
            self._waiting_since = time.monotonic()
            _soon(self.draw)

    def _finish(self, view: View) -> None:
        """Add the details, unless there is a newer picture already."""
        with _DRAWING:
            if view is self.now:
                try:
                    self.details.value = view.details()
                except Exception as error:
                    self._fail(error)

    def _fail(self, error: Exception) -> None:
        """Say it on the page, since a handler's traceback is never seen."""
        kind = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
        self.finding.value = self.picture.value = self.details.value = ""
        self.say(f"Nothing to show. {kind}{error}", alert=True)

    def _repr_mimebundle_(self, **kwargs: object) -> dict:
        """The widget, and a picture for pages without a kernel."""
        bundle = super()._repr_mimebundle_(**kwargs)
        bundle["text/plain"] = self.now.finding if self.now else "an explorer"
        if self.now:
            bundle["image/png"] = b64encode(static_png(self.now)).decode()
        return bundle


def _soon(act: Callable[..., None], *given: object) -> None:
    """Call after a pause in which moves are gathered; at once where no loop runs."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        act(*given)
    else:
        loop.call_later(_PAUSE, act, *given)


def dropdown(
    text: str, options: object, value: object = None, *, hint: str, kind: type = widgets.Dropdown
) -> widgets.Widget:
    """A choice; ``hint`` says what it does, for the mouse and for a screen reader."""
    more = {} if value is None else {"value": value}
    return kind(description=text, options=options, tooltip=hint, **more)


notches = partial(dropdown, kind=widgets.SelectionSlider)  # a choice from options in order


def slider(text: str, low: int, high: int, value: int, *, hint: str) -> widgets.IntSlider:
    """A whole number."""
    return widgets.IntSlider(value, low, high, description=text, tooltip=hint)


def log_slider(
    text: str, low: float, high: float, value: float, *, hint: str, form: str = _WHOLE, **more
) -> widgets.FloatLogSlider:
    """A number from 10**low to 10**high, 20 steps for each factor of ten, whole unless told."""
    more = {"base": 10, "min": low, "max": high, "step": 0.05, "readout_format": form, **more}
    return widgets.FloatLogSlider(value, description=text, tooltip=hint, **more)


def hide(controls: Controls, *names: str) -> None:
    """Show all controls but those of these names."""
    for name, control in controls.items():
        control.layout.display = "none" if name in names else None

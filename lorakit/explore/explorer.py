"""The frame of every explorer: controls, a sentence, a picture; answers each move at once."""

from collections.abc import Callable, Mapping
from html import escape

import ipywidgets as widgets

from lorakit.explore.pulse import pulse
from lorakit.explore.view import View

Controls = Mapping[str, widgets.Widget]

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
        self.now = View("", "an explorer")
        self._drawing = False
        self.picture, self.message = widgets.HTML(layout=_RIGHT), widgets.HTML()
        for control in self.controls.values():
            control.layout.width, control.layout.margin = "auto", "2px 0"
            control.style.description_width = "130px"
            control.observe(self.draw, "value")
        words = [widgets.HTML(try_this(invite))] if invite else []
        left = [*words, *self.controls.values(), *extra, self.message, pulse()]
        left = widgets.VBox(left, layout=_LEFT).add_class("lorakit-controls")
        self.picture.add_class("lorakit-picture")
        whole = widgets.Box([left, self.picture], layout=_WRAP)
        super().__init__([widgets.HTML(_CSS), whole])
        self.add_class("lorakit-explorer")
        self.draw()

    def draw(self, _change: object = None) -> None:
        """Show the picture of the controls' present values, or say why there is none."""
        if self._drawing:  # ``rules`` moved a control, or another thread did: seen below
            return
        self._drawing, values = True, self._values()
        try:
            remark = self.rules(self.controls)
            values = self._values()
            self.now = self.view(**values)
            notes = "".join(f"<li>{escape(note)}</li>" for note in self.now.notes)
            notes = f'<ul style="margin:0.4em 0;padding-left:1.2em">{notes}</ul>' if notes else ""
            self.picture.value = f"<b>{escape(self.now.finding)}</b>{self.now.html}{notes}"
            self.say(remark or "")
        except Exception as error:  # of which a handler's traceback is never seen
            kind = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
            self.picture.value = ""
            self.say(f"Nothing to show. {kind}{error}", alert=True)
        finally:
            self._drawing = False
        if values != self._values():  # moved meanwhile
            self.draw()

    def say(self, text: str, *, alert: bool = False) -> None:
        """A remark below the controls; an alert is read aloud at once."""
        look = 'role="alert" style="color:var(--jp-error-color1)"' if alert else 'role="status"'
        self.message.value = f"<div {look}>{escape(text)}</div>" if text else ""

    def _values(self) -> dict[str, object]:
        return {name: control.value for name, control in self.controls.items()}

    def _repr_mimebundle_(self, **kwargs: object) -> dict:
        """The widget, and a picture for pages without a kernel."""
        bundle = super()._repr_mimebundle_(**kwargs) | {"text/plain": self.now.finding}
        if self.now.still:
            bundle["image/png"] = self.now.still()
        return bundle


def try_this(invite: str) -> str:
    """A line that says what to do first."""
    return f"<i>Try: {escape(invite)}</i>"


def dropdown(text: str, options: object, value: object = None, *, hint: str) -> widgets.Dropdown:
    """A choice; ``hint`` says what it does."""
    more = {} if value is None else {"value": value}
    return widgets.Dropdown(description=text, options=options, tooltip=hint, **more)


def number(text: str, low: int, high: int, value: int, *, hint: str) -> widgets.BoundedIntText:
    """A whole number; a field, since a screen reader is not told the name of a slider."""
    allowed = {"min": low, "max": high, "continuous_update": True}
    return widgets.BoundedIntText(value, description=text, tooltip=hint, **allowed)


def hide(controls: Controls, *names: str) -> None:
    """Show all controls but those of these names."""
    for name, control in controls.items():
        control.layout.display = "none" if name in names else None

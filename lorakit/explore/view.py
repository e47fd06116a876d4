"""What an explorer shows at one moment: a picture, a sentence, details."""

from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from io import BytesIO
from textwrap import fill

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from lorakit.figures.style import style

_DPI = 100


@dataclass(frozen=True)
class View:
    """A figure, what it says in one sentence, and HTML to stand below it, made when asked for."""

    figure: Figure
    finding: str
    details: Callable[[], str] = str


def new_figure(width: float = 5.6, height: float = 3.7, below: float = 0.62) -> Figure:
    """An empty figure in inches that pyplot does not know, so that nobody has to close it.

    Margins are fixed, ``below`` inches at the bottom: a constrained layout doubles the time.
    """
    with style():
        figure = Figure(figsize=(width, height), dpi=_DPI, layout="none")
        FigureCanvasAgg(figure)
        figure.subplots_adjust(
            left=0.8 / width, right=1 - 0.2 / width, top=1 - 0.12 / height, bottom=below / height
        )
    return figure


def new_axes(figure: Figure) -> Axes:
    """Axes whose title stays where it is: to move it, matplotlib would lay out all ticks twice."""
    ax = figure.add_subplot()
    ax.set_title("", y=1.01)
    return ax


def four_pictures(pictures: dict[str, Tensor]) -> Figure:
    """Two rows of two titled pictures, each uint8 (3, H, H), without the cost of axes."""
    side, head, gap = 272, 24, 8  # pixels
    width, height = 2 * side + 2 * gap, 2 * (side + head)
    figure = new_figure(width / _DPI, height / _DPI)
    look = {"ha": "center", "va": "center", "fontsize": 11, "weight": "bold"}
    for place, (name, picture) in enumerate(pictures.items()):
        row, column = divmod(place, 2)
        nearest = np.arange(side) * picture.shape[-1] // side
        pixels = picture.permute(1, 2, 0).numpy()[nearest][:, nearest]  # (side, side, 3)
        x, y = gap // 2 + column * (side + gap), (1 - row) * (side + head)
        figure.figimage(pixels, x, y, origin="upper")
        figure.text((x + side / 2) / width, (y + side + head / 2) / height, name, **look)
    return figure


def to_png(figure: Figure) -> bytes:
    """Draw and compress lightly."""
    return _png(_draw(figure), compress_level=1)


def static_png(view: View) -> bytes:
    """The picture with its sentence above it, for a page without a kernel."""
    words = fill(view.finding, width=int(10.5 * view.figure.get_figwidth()))
    body = _draw(view.figure)
    head = new_figure(body.width / _DPI, 0.2 * (words.count("\n") + 1) + 0.15, below=0)
    with style():
        head.text(0.01, 0.5, words, va="center", weight="bold", fontsize=11)
    title = _draw(head)
    whole = Image.new("RGB", (body.width, title.height + body.height), "white")
    whole.paste(title, (0, 0))
    whole.paste(body, (0, title.height))
    return _png(whole.quantize(128), optimize=True)


def _draw(figure: Figure) -> Image.Image:
    """Once; ``savefig`` draws twice."""
    with style():
        figure.canvas.draw()
    return Image.fromarray(np.asarray(figure.canvas.buffer_rgba())).convert("RGB")


def _png(image: Image.Image, **options: object) -> bytes:
    buffer = BytesIO()
    image.save(buffer, "png", **options)
    return buffer.getvalue()


def bullets(lines: list[str]) -> str:
    """Lines of text as an HTML list."""
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return f'<ul style="margin:0.2em 0;padding-left:1.2em;line-height:1.4">{items}</ul>'

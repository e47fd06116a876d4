"""What an explorer shows at one moment: a picture in HTML, a sentence, notes."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from io import BytesIO
from textwrap import fill
from typing import TYPE_CHECKING

from IPython.core.pylabtools import print_figure
from matplotlib.figure import Figure
from PIL import Image

from lorakit.figures.style import style, suptitle

if TYPE_CHECKING:  # a page of charts does not wait for PyTorch
    from torch import Tensor


@dataclass(frozen=True)
class View:
    """HTML, what it says in one sentence, notes below it, and a PNG for a page without a kernel."""

    html: str
    finding: str
    notes: Sequence[str] = ()
    still: Callable[[], str] | None = None


def show_pictures(pictures: dict[str, Tensor], finding: str, notes: Sequence[str]) -> View:
    """Four titled pictures, each uint8 (3, H, H), as large as there is room."""
    shown = "".join(picture_html(*named) for named in pictures.items())
    look = "display:grid;grid-template-columns:1fr 1fr;gap:8px;max-width:560px;align-items:end"
    html = f'<div style="{look}">{shown}</div>'
    return View(html, finding, notes, lambda: _still(pictures, finding))


def picture_html(name: str, picture: Tensor) -> str:
    """A picture, uint8 (3, H, W), below its name; decoded at once, so that nothing flickers."""
    buffer = BytesIO()
    Image.fromarray(picture.permute(1, 2, 0).numpy()).save(buffer, "png", compress_level=1)
    source = f"data:image/png;base64,{b64encode(buffer.getvalue()).decode()}"
    words, ratio = escape(name), picture.shape[2] / picture.shape[1]
    return (
        f'<figure style="margin:0"><figcaption style="text-align:center">{words}</figcaption>'
        f'<img src="{source}" alt="{words}" decoding="sync" '
        f'style="width:100%;aspect-ratio:{ratio};image-rendering:pixelated"></figure>'
    )


def _still(pictures: dict[str, Tensor], finding: str) -> str:
    with style():
        figure = Figure(figsize=(5.6, 6.2), layout="constrained")
        for ax, (name, picture) in zip(figure.subplots(2, 2).flat, pictures.items()):
            ax.imshow(picture.permute(1, 2, 0).numpy())
            ax.set_title(name, fontsize=10)
            ax.axis("off")
        suptitle(figure, fill(finding, 46))
    return print_figure(figure, bbox_inches=None, base64=True)

"""Words for the moment when a kernel has died: controls still move then, and nothing answers."""

import threading
import time
from functools import cache
from weakref import WeakSet

import ipywidgets as widgets

_EVERY, _PATIENCE = 4, 15  # seconds: between two signs of life, and without one
_WORDS = (
    "The kernel does not answer: what you choose here has no effect. On the dashboard "
    '<a href="">reload the page</a>; in a notebook run the cell again.'
)
_CSS = (  # each sign of life brings a new element, whose clock starts anew
    "<style>.lorakit-silent {visibility: hidden; max-height: 0; overflow: hidden; "
    f"color: var(--jp-error-color1); animation: lorakit-silent 0s {_PATIENCE}s forwards}} "
    ".lorakit-silent a {color: inherit; text-decoration: underline} "
    "@keyframes lorakit-silent {to {visibility: visible; max-height: 9em}}</style>"
)
_all: WeakSet[widgets.HTML] = WeakSet()


def pulse() -> widgets.HTML:
    """Words that show when nothing has come from the kernel for a while."""
    sign = widgets.HTML(_sign_of_life())
    _all.add(sign)
    _start()
    return sign


def _sign_of_life() -> str:
    silent = f'<div class="lorakit-silent" role="status" data-at="{time.time()}">'
    return f"{_CSS}{silent}{_WORDS}</div>"


@cache  # one thread, however many explorers come and go
def _start() -> None:
    threading.Thread(target=_beat, daemon=True).start()


def _beat() -> None:
    while True:
        time.sleep(_EVERY)
        for sign in list(_all):
            sign.value = _sign_of_life()

"""How a training goes, as curves; before it starts, what it will see."""

from collections.abc import Mapping, Sequence
from functools import lru_cache

import torch

from lorakit.data.load import load
from lorakit.encryption.cipher import encrypt, make_key
from lorakit.experiments.experiment import Experiment
from lorakit.explore.view import View, picture_html
from lorakit.figures.style import CIPHER_NAMES, OTHER_COLOURS
from lorakit.figures.tables import epsilon_name

_PANELS = {"loss": "loss of a batch", "accuracy": "accuracy in training", "epsilon": "ε spent"}
_SHOWN, _PATCH = 8, 8  # training images; pixels of vit_micro's patches


def curves_view(moments: Sequence[Mapping[str, float]], experiment: Experiment) -> View:
    """Loss, accuracy and, under privacy, epsilon against steps; without moments, training images.

    A moment has ``step``, ``steps``, ``loss``, ``accuracy`` and maybe ``epsilon``.
    """
    e = experiment
    if not moments:
        return View(_first_look(e.dataset, e.cipher, e.seed), f"To train: {_sentence(e)}")
    names = list(_PANELS)[: 3 if e.private else 2]
    panels = "".join(_panel(moments, *look) for look in zip(names, OTHER_COLOURS))
    html = f'<div style="display:flex;flex-wrap:wrap;gap:16px">{panels}</div>'
    return View(html, _sentence(e))


def _sentence(e: Experiment) -> str:
    lora = f", r = {e.rank} on {e.targets}" if e.rank else ""
    return (
        f"{e.dataset}, {CIPHER_NAMES.get(e.cipher, e.cipher)}, {e.method}{lora}, {e.train:,} "
        f"images, {e.recipe.epochs} epochs, {epsilon_name(e.settings()['epsilon'])}, seed {e.seed}"
    )


@lru_cache
def _first_look(dataset: str, cipher: str, seed: int) -> str:
    """Some training images, and what the model sees of them."""
    images = load(dataset, train=_SHOWN, val=_SHOWN, test=_SHOWN).train.images  # (n, 3, H, H)
    rows = {"training images": images}
    if cipher != "none":
        key = make_key(images.shape[-1], _PATCH, cipher.split("+"), seed=seed)
        rows["what the model sees of them"] = encrypt(images, key)
    return "".join(picture_html(name, torch.cat([*row], dim=2)) for name, row in rows.items())


def _panel(moments: Sequence[Mapping[str, float]], name: str, colour: str) -> str:
    """A curve from 0 to the largest value, in the ink of the page, with its last value."""
    values = [moment[name] for moment in moments]
    most = 1 if name == "accuracy" else max(values)
    last = f"{values[-1]:.3g}; axis to {most:.3g}"
    places = [100 * m["step"] / m["steps"] for m in moments]
    line = " ".join(f"{x:.2f},{60 - 60 * y / most:.2f}" for x, y in zip(places, values))
    box = "width:100%;height:150px;border:solid currentColor;border-width:0 0 1px 1px"
    return (
        f'<figure style="margin:0;flex:1 1 180px"><figcaption>{_PANELS[name]}: {last}</figcaption>'
        f'<svg viewBox="0 0 100 60" preserveAspectRatio="none" role="img" style="{box}" '
        f'aria-label="{_PANELS[name]}"><polyline points="{line}" fill="none" stroke="{colour}" '
        'stroke-width="2" vector-effect="non-scaling-stroke"/></svg></figure>'
    )

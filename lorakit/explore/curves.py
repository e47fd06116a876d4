"""How a training goes, as curves."""

from collections.abc import Mapping, Sequence

from lorakit.experiments.experiment import Experiment
from lorakit.explore.view import View
from lorakit.figures.style import CIPHER_NAMES, OTHER_COLOURS
from lorakit.figures.tables import epsilon_name

_PANELS = {"loss": "loss of a batch", "accuracy": "accuracy in training", "epsilon": "ε spent"}


def curves_view(moments: Sequence[Mapping[str, float]], experiment: Experiment) -> View:
    """Loss, accuracy and, under privacy, epsilon against steps.

    Args:
        moments: ``step``, ``steps``, ``loss``, ``accuracy`` and maybe ``epsilon`` of each.
        experiment: what trains, for the sentence.
    """
    e = experiment
    names = list(_PANELS)[: 3 if e.private else 2]
    panels = "".join(_panel(moments, *look) for look in zip(names, OTHER_COLOURS))
    lora = f", r = {e.rank} on {e.targets}" if e.rank else ""
    finding = (
        f"{e.dataset}, {CIPHER_NAMES.get(e.cipher, e.cipher)}, {e.method}{lora}, {e.train:,} "
        f"images, {e.recipe.epochs} epochs, {epsilon_name(e.settings()['epsilon'])}, seed {e.seed}"
    )
    return View(f'<div style="display:flex;flex-wrap:wrap;gap:16px">{panels}</div>', finding)


def _panel(moments: Sequence[Mapping[str, float]], name: str, colour: str) -> str:
    """A curve from 0 to the largest value, in the ink of the page, with its last value."""
    values = [moment[name] for moment in moments]
    most = 1 if name == "accuracy" else max(values, default=1)
    last = f"{values[-1]:.3g}; axis to {most:.3g}" if values else "nothing trained yet"
    places = [100 * m["step"] / m["steps"] for m in moments]
    line = " ".join(f"{x:.2f},{60 - 60 * y / most:.2f}" for x, y in zip(places, values))
    box = "width:100%;height:150px;border:solid currentColor;border-width:0 0 1px 1px"
    return (
        f'<figure style="margin:0;flex:1 1 180px"><figcaption>{_PANELS[name]}: {last}</figcaption>'
        f'<svg viewBox="0 0 100 60" preserveAspectRatio="none" role="img" style="{box}" '
        f'aria-label="{_PANELS[name]}"><polyline points="{line}" fill="none" stroke="{colour}" '
        'stroke-width="2" vector-effect="non-scaling-stroke"/></svg></figure>'
    )

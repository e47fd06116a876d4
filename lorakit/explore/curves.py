"""How a training goes, as curves."""

from collections.abc import Mapping

import pandas as pd

from lorakit.experiments.experiment import Experiment
from lorakit.explore.view import View, new_figure
from lorakit.figures.style import CIPHER_NAMES, OTHER_COLOURS, style
from lorakit.figures.tables import epsilon_name

_PANELS = {"loss of a batch": "loss", "accuracy in training": "accuracy", "ε spent": "epsilon"}


def curves_view(moments: list[Mapping[str, float]], experiment: Experiment) -> View:
    """Loss, accuracy and, under privacy, epsilon against steps.

    Args:
        moments: ``step``, ``steps``, ``loss``, ``accuracy`` and maybe ``epsilon`` of each.
        experiment: what trains, for the sentence.
    """
    seen = pd.DataFrame(moments, columns=["step", "steps", *_PANELS.values()])
    panels = list(_PANELS.items())[: 3 if experiment.private else 2]
    with style():
        figure = new_figure(height=2.7)
        axes = figure.subplots(1, len(panels))
        figure.subplots_adjust(left=0.08, right=0.98, top=0.87, wspace=0.35)
        for ax, (title, name), colour in zip(axes, panels, OTHER_COLOURS):
            ax.plot(seen["step"], seen[name], color=colour)
            ax.set_title(title, fontsize=10, weight="normal")
            ax.set(xlabel="step", ylim=(0, 1) if name == "accuracy" else (0, None))
            ax.set_xlim(0, seen["steps"].max() if len(seen) else 1)
            ax.locator_params(nbins=4)
            ax.tick_params(labelsize=9)
            if seen.empty:
                look = {"transform": ax.transAxes, "ha": "center", "color": "#777777"}
                ax.text(0.5, 0.5, "nothing trained yet", fontsize=9, **look)
    e = experiment
    lora = f", r = {e.rank} on {e.targets}" if e.rank else ""
    finding = (
        f"{e.dataset}, {CIPHER_NAMES.get(e.cipher, e.cipher)}, {e.method}{lora}, {e.train:,} "
        f"images, {e.recipe.epochs} epochs, {epsilon_name(e.settings()['epsilon'])}, seed {e.seed}"
    )
    return View(figure, finding)

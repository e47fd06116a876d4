"""One look for all figures: fonts, names, and colours that colour-blind readers can tell apart."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from lorakit.checks import checked
from lorakit.runtime import write_atomic

# Okabe and Ito's palette, a marker each for print in grey
METHOD_COLOURS = {
    "probe": "#999999",
    "patch": "#56B4E9",
    "bitfit": "#CC79A7",
    "lora": "#D55E00",
    "lora+patch": "#0072B2",
    "lora+patch+pos": "#009E73",
    "full": "#000000",
}
METHOD_MARKERS = {"probe": "v", "patch": "^", "bitfit": "P", "lora": "s", "lora+patch": "o",
                  "lora+patch+pos": "X", "full": "D"}  # fmt: skip
METHOD_NAMES = {
    "probe": "probe (head only)",
    "patch": "patch (embedding and head)",
    "bitfit": "bitfit (biases)",
    "lora": "lora",
    "lora+patch": "lora+patch (the paper)",
    "lora+patch+pos": "lora+patch+pos (position too)",
    "full": "full fine-tuning",
}
CIPHER_NAMES = {
    "none": "plain",
    "shuffle": "shuffle",
    "shuffle+negative": "shuffle + negative",
    "scramble+shuffle": "scramble + shuffle",
    "scramble+shuffle+negative": "scramble + shuffle + negative",
}
TARGETS_SHOWN = "q+v"  # LoRA's targets where a figure shows one choice
CIPHER_SHOWN = "shuffle+negative"  # likewise
DATASET_NAMES = {
    "fashion": "clothes (Fashion-MNIST)",
    "street": "street digits (synthetic)",
    "digits": "handwritten digits (real)",
    "cifar10": "CIFAR-10",
    "cifar100": "CIFAR-100",
    "imagenette": "Imagenette",
}
# accuracy of a blind guess; unknown for folders of one's own
CHANCE = dict.fromkeys(DATASET_NAMES, 0.1) | {"cifar100": 0.01}
OTHER_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
TRAINABLE, FROZEN = "#0072B2", "#DADADA"

_RC = {
    "figure.dpi": 100,
    "font.size": 11,
    "axes.titlesize": 12,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#E6E6E6",
    "axes.axisbelow": True,
    "legend.frameon": False,
    "figure.constrained_layout.use": True,
    "pdf.fonttype": 42,
}


@contextmanager
def style() -> Iterator[None]:
    """Draw inside this context to get the project's look, and nothing changed outside it."""
    import seaborn as sns

    # not rc_context, which would restore "interactive" too and so hide figures in notebooks
    before = {name: plt.rcParams[name] for name in _RC}
    with sns.axes_style("whitegrid"):
        plt.rcParams.update(_RC)
        try:
            yield
        finally:
            plt.rcParams.update(before)


def suptitle(figure: Figure, text: str) -> None:
    """The finding, above all panels."""
    figure.suptitle(text, fontweight="bold", x=0.01, ha="left")


@checked
def save_figure(figure: Figure, stem: str | Path) -> list[Path]:
    """Write a figure as ``stem`` + .png and .pdf, and return the paths."""
    if not Path(stem).name:
        raise ValueError(f"stem={str(stem)!r}: allowed: a path with a name for the files")
    paths = [Path(f"{stem}.png"), Path(f"{stem}.pdf")]
    for path, options in zip(paths, ({"dpi": 150}, {"metadata": {"CreationDate": None}})):
        buffer = BytesIO()
        figure.savefig(buffer, format=path.suffix[1:], **options)
        write_atomic(buffer.getvalue(), path)
    return paths

"""One look for all figures: fonts, names, and colours that colour-blind readers can tell apart."""

from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from lorakit.checks import checked
from lorakit.runtime import write_atomic

_METHODS = {  # a colour of Okabe and Ito's palette, a marker for print in grey, a name
    "probe": ("#999999", "v", "probe (head only)"),
    "patch": ("#56B4E9", "^", "patch (no LoRA)"),
    "bitfit": ("#CC79A7", "P", "bitfit (biases)"),
    "lora": ("#D55E00", "s", "lora"),
    "lora+patch": ("#0072B2", "o", "lora+patch (the paper)"),
    "lora+patch+pos": ("#009E73", "X", "lora+patch+pos"),
    "full": ("#000000", "D", "full fine-tuning"),
}
METHOD_COLOURS, METHOD_MARKERS, METHOD_NAMES = (
    dict(zip(_METHODS, looks)) for looks in zip(*_METHODS.values())
)
CIPHER_NAMES = {
    "none": "plain",
    "shuffle": "shuffle",
    "shuffle+negative": "shuffle + negative",
    "scramble+shuffle": "scramble + shuffle",
    "scramble+shuffle+negative": "scramble + shuffle + negative",
}
RANK_SHOWN, TARGETS_SHOWN = 4, "q+v"  # LoRA's, where a figure shows one choice
CIPHER_SHOWN = "shuffle+negative"  # likewise
DATASET_NAMES = {
    "fashion": "clothes (Fashion-MNIST)",
    "painted": "painted clothes (random colours)",
    "street": "street digits (synthetic)",
    "digits": "handwritten digits (real)",
    "cifar10": "CIFAR-10",
    "cifar100": "CIFAR-100",
    "imagenette": "Imagenette",
}
NAMES = DATASET_NAMES | CIPHER_NAMES | METHOD_NAMES
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
    """Write a figure as ``stem`` + .png and .pdf; returns the paths."""
    if not Path(stem).name:
        raise ValueError(f"stem={str(stem)!r}: allowed: a path with a name for the files")
    paths = [Path(f"{stem}.png"), Path(f"{stem}.pdf")]
    for path, options in zip(paths, ({"dpi": 150}, {"metadata": {"CreationDate": None}})):
        buffer = BytesIO()
        figure.savefig(buffer, format=path.suffix[1:], **options)
        write_atomic(buffer.getvalue(), path)
    return paths

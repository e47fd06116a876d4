"""Figures that explain: what trains, what encryption does, what the patch embedding learned."""

import matplotlib.pyplot as plt
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch
from torch import Tensor

from lorakit.checks import check_number
from lorakit.encryption.attacks import recover_key
from lorakit.encryption.cipher import STEPS, Key, decrypt, encrypt, make_key
from lorakit.figures.style import FROZEN, TRAINABLE, style
from lorakit.lora.budget import shapes, trained_by_method


def plot_methods(*, backbone: str = "vit_base_patch16_224", rank: int = 4) -> Figure:
    """The parts of the ViT, a column for each method: what trains is coloured, and counted."""
    methods = ("probe", "patch", "lora", "lora+patch", "full")
    check_number("rank", rank, least=1, most=shapes(backbone).embed_dim, whole=True)
    counts = trained_by_method(backbone, ("q", "v"))
    whole, _ = counts["full"]
    with style():
        figure, axes = plt.subplots(1, len(methods), figsize=(2.4 * len(methods), 5.4))
        for ax, method in zip(axes, methods):
            fixed, each = counts[method]
            trains, everything = fixed + each * rank, method == "full"
            _box(ax, 0, "image", None, width=0.7)
            _box(ax, 1, "patch embedding", everything or "patch" in method)
            for i in range(3):
                _box(ax, 2 + i, f"block {i + 1}" if i < 2 else "…", everything, width=0.56)
                if each:
                    _box(ax, 2 + i, "LoRA", True, width=0.26, x=0.85)
            _box(ax, 5, "head", True, width=0.36)
            ax.set_title(method, loc="center", pad=8)
            text = f"{trains:,} trainable\n{trains / whole:.2%}"
            ax.text(0.5, -0.85, text, ha="center", va="top")
            ax.set(xlim=(-0.02, 1.02), ylim=(-1.6, 5.6))
            ax.axis("off")
        handles = [plt.Rectangle((0, 0), 1, 1, color=c) for c in (TRAINABLE, FROZEN)]
        figure.legend(handles, ["trains", "frozen"], loc="outside lower center", ncol=2)
        title = f"What trains in each method ({backbone}, rank {rank}, 10 classes)"
        figure.suptitle(title, fontweight="bold")
        return figure


def plot_encryption(images: Tensor) -> Figure:
    """Pictures, uint8 (N, 3, H, H), through the cipher's steps, back again, and to an attacker.

    The attacker has the first picture in both forms, and computes the key from that pair.
    """
    size = images.shape[-1]
    right, wrong = (make_key(size, 8, seed=seed) for seed in (0, 1))
    secret = encrypt(images, right)
    opened = decrypt(secret, recover_key(images[0], secret[0], 8).key)
    scramble, shuffle, negative = STEPS
    some = {"scramble": [scramble], "shuffle": [shuffle], "… + negative": [shuffle, negative]}
    columns = {
        "plain": images,
        **{name: encrypt(images, make_key(size, 8, s, seed=0)) for name, s in some.items()},
        "all three": secret,
        "right key": decrypt(secret, right),
        "wrong key": decrypt(secret, wrong),
        "after one leak": opened,
    }
    with style():
        shape = (1.55 * len(columns), 1.5 * len(images) + 0.7)
        figure, axes = plt.subplots(len(images), len(columns), figsize=shape, squeeze=False)
        for column, (name, pictures) in enumerate(columns.items()):
            for row, picture in enumerate(pictures):
                _show(axes[row, column], picture.permute(1, 2, 0).numpy())  # (H, W, 3)
            axes[0, column].set_title(name, loc="center")
        axes[0, 0].set_ylabel("leaked")
        opens = "opens" if torch.equal(opened, images) else "does not quite open"
        title = f"Nobody can read them without the key? One leaked picture {opens} the others"
        figure.suptitle(title, fontweight="bold")
        return figure


def plot_patch_embeddings(before: Tensor, learned: Tensor, key: Key, filters: int = 8) -> Figure:
    """Did the patch embedding learn the order of values that the key imposes?

    On the left the filters, (dim, 3, p, p), that changed most; on the right, how smooth the changes
    are when read back through the right key, and through 200 wrong ones.
    """
    change = learned - before
    if not change.any():
        raise ValueError("learned: the same as before; allowed: a patch embedding that trained")
    chosen = change.flatten(1).norm(dim=1).argsort(descending=True)[:filters]
    rows = {
        "pre-trained": before,
        "trained on\nencrypted pictures": learned,
        "the change": change,
        "the change, read\nback by the key": read_back(change, key),
    }
    seeds = range(10**6, 10**6 + 200)  # far from those of experiments, whose keys are right ones
    others = [make_key(key.image_size, key.block_size, key.steps, seed=i) for i in seeds]
    right, *wrong = (smoothness(read_back(change, k)) for k in (key, *others))
    with style():
        figure = plt.figure(figsize=(filters * 0.95 + 5.2, 4.4))
        left, side = figure.subfigures(1, 2, width_ratios=[filters * 0.95 + 1.2, 4])
        axes = left.subplots(len(rows), filters)
        for line, (name, weight) in zip(axes, rows.items()):
            for ax, filter_ in zip(line, weight[chosen]):
                picture = 0.5 + 0.5 * filter_ / filter_.abs().max().clamp_min(1e-12)  # in [0, 1]
                _show(ax, picture.permute(1, 2, 0).numpy())
            line[0].set_ylabel(name, rotation=0, ha="right", va="center")
        fits = right > max(wrong)
        says = "the key makes pictures of what it learned" if fits else "no key fits its change"
        left.suptitle(f"The patch embedding: {says}", fontweight="bold")
        ax = side.subplots()
        ax.hist(wrong, bins=8, color="#999999", label="200 wrong keys")
        ax.axvline(right, color=TRAINABLE, linewidth=3, label="the right key")
        ax.set(xlabel="correlation of neighbouring values\nin a change read back", ylabel="keys")
        ax.locator_params(axis="x", nbins=4)
        ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.28), ncol=2)
        ax.set_title("The right key stands out" if fits else "No key stands out")
        return figure


def smoothness(filters: Tensor) -> float:
    """Correlation of neighbours in one colour, over filters (dim, 3, p, p): near 1 if smooth."""
    x = filters - filters.mean(dim=(2, 3), keepdim=True)
    across = (x[..., :, 1:] * x[..., :, :-1]).mean() + (x[..., 1:, :] * x[..., :-1, :]).mean()
    return (across / 2 / x.square().mean()).item()


def read_back(weight: Tensor, key: Key) -> Tensor:
    """The inverse of ``adapt_patch_embedding``: E' D P, in the order of plain images."""
    columns = weight.flatten(1) * (1 - 2 * key.flips.to(weight))  # (dim, c p²)
    return columns[:, key.pixels.argsort()].view_as(weight)


def _box(ax: Axes, y: float, text: str, trains: bool | None, width: float = 0.8, x: float = 0.5):
    colour = {True: TRAINABLE, False: FROZEN, None: "white"}[trains]
    corner = (x - width / 2, y - 0.32)
    look = {"boxstyle": "round,pad=0,rounding_size=0.06", "edgecolor": "#555555"}
    ax.add_patch(FancyBboxPatch(corner, width, 0.64, facecolor=colour, **look))
    ax.text(x, y, text, ha="center", va="center", color="white" if trains else "black")
    if x == 0.5 and y < 5:
        ax.plot([0.5, 0.5], [y + 0.32, y + 0.68], color="#555555", zorder=0)


def _show(ax: Axes, picture) -> None:
    ax.imshow(picture, interpolation="nearest")
    ax.set(xticks=[], yticks=[])
    ax.grid(False)
    ax.spines[:].set_visible(False)

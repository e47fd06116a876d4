# ---
# jupyter:
#   lorakit:
#     title: Pre-training the backbone
#     learn:
#     - measure what pre-training on pictures of nothing is worth for real clothes
#     - turn a picture into histograms of oriented gradients, a target that needs no labels
#     - read a training log, starting from the error of a blind guess
#     - say why synthetic pictures cost no epsilon, and what the choice of a recipe does cost
#     - notice weights that were never loaded
#     needs: a training loop in PyTorch, and lesson 00 for the words. Nothing later depends on this lesson.
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# Every lesson starts from `vit_micro`, a small Vision Transformer (ViT) that can already see a little. It
# learned on the upper four rows below: random numbers, drawn by a program. The last row is real. **Can a network
# that never saw a photograph tell a shirt from a shoe?**

# %% tags=["parameters"]
preset = "quick"  # smoke: seconds, for tests; quick: what the outputs show

# %% tags=["context"]
import json
import math
from tempfile import TemporaryDirectory

import matplotlib.pyplot as plt
import pandas as pd
import torch
from exercises import check
from matplotlib.collections import LineCollection
from safetensors.torch import load_file
from torch import nn

from lorakit import Split, create_backbone, fit, load
from lorakit.data.synthetic import SOURCES, draw_pictures
from lorakit.experiments.pretrain_synthetic import (
    RECIPE,
    GradientCriterion,
    draw_mix,
    oriented_gradients,
    pretrain_synthetic,
)
from lorakit.experiments.probe import linear_probe
from lorakit.figures.style import OTHER_COLOURS, style, suptitle
from lorakit.lora.backbones import weights_of
from lorakit.runtime import seed_everything
from lorakit.training.optimizer import make_optimizer, make_scheduler
from lorakit.training.recipe import Recipe

BLUE, ORANGE, GREEN, PINK = OTHER_COLOURS[:4]
GREY = "#777777"
smoke = preset == "smoke"

# %% tags=["folded"]
# @title Drawing: what the network saw, and what it must recognise
clothes = load("fashion", train=200 if smoke else 2000, val=50 if smoke else 1000, test=1)
rows = {name: draw_pictures(name, 12, torch.Generator().manual_seed(3)) for name in SOURCES}
rows["real clothes"] = clothes.train.images[:12]
with style():
    figure, axes = plt.subplots(5, 12, figsize=(9, 4.2))
    for line, (name, pictures) in zip(axes, rows.items()):
        for ax, picture in zip(line, pictures):
            ax.imshow(picture.permute(1, 2, 0))  # (32, 32, 3)
            ax.set(xticks=[], yticks=[], frame_on=False)
        line[0].set_ylabel(name, rotation=0, ha="right", va="center")
    suptitle(figure, "Learned from four rows of nothing: does that help with the fifth?")

# %% [markdown]
# The four kinds of synthetic pictures are in `lorakit/data/synthetic.py`:
#
# - **letters**, Latin, Greek and Cyrillic, in twelve fonts, over colour and noise;
# - **bodies**, unions of rounded bars, many of them mirrored, filled with a texture;
# - **fractals**, which a random game with four maps draws (Kataoka et al. 2020, [arXiv
#   2101.08515](https://arxiv.org/abs/2101.08515));
# - **textures**, random waves (Baradad et al. 2021, [arXiv 2106.05963](https://arxiv.org/abs/2106.05963); Tang et
#   al. 2023, [arXiv 2306.06076](https://arxiv.org/abs/2306.06076), use such pictures for private training).
#
# ## Predict: what is it worth?
#
# We freeze the network and ask for the numbers that its head would see, 128 for each picture. On these we fit
# the simplest classifier, logistic regression, with a few labelled photographs of clothes. That is a **linear
# probe**. Ten kinds, so a blind guess is right in 10 %.
#
# **Predict** three accuracies with 2,000 labelled photographs: the probe on raw pixels, on a ViT with random
# weights, and on `vit_micro`, which saw all four rows.

# %%
seed_everything(0)
starts = {
    "saw all four rows (vit_micro)": create_backbone("vit_micro"),
    "raw pixels, no network": None,
    "random weights": create_backbone("vit_micro", pretrained=False),
}
counts = (100, 200) if smoke else (125, 500, 2000)


def first(split, n):
    return Split(split.images[:n], split.labels[:n])


def worth(network, n):
    """Accuracy of a linear probe fitted on n photographs."""
    return linear_probe(network, first(clothes.train, n), clothes.val)


worths = {name: [worth(network, n) for n in counts] for name, network in starts.items()}

# %% tags=["folded"]
# @title Drawing: what features are worth
with style():
    figure, ax = plt.subplots(figsize=(8.4, 3.8))
    for (name, values), colour, mark in zip(worths.items(), (BLUE, GREY, ORANGE), "osv"):
        ax.plot(counts, [100 * v for v in values], marker=mark, color=colour, label=name)
        ax.annotate(f"{values[-1]:.0%}", (counts[-1], 100 * values[-1]), (8, -4), color=colour,
                    textcoords="offset points")  # fmt: skip
    ax.set(xscale="log", xlabel="labelled photographs", ylabel="accuracy in %", ylim=(20, 95))
    ax.set_xticks(counts, [f"{n:,}" for n in counts])
    ax.set_xlim(counts[0] * 0.9, counts[-1] * 1.35)
    ax.minorticks_off()
    best, pixels, _ = (values[-1] for values in worths.values())
    ax.set_title(f"Pictures of nothing: {100 * (best - pixels):+.1f} points over raw pixels")
    ax.legend(loc="lower right")

# %% [markdown]
# A random ViT loses much of what the pixels had. The four rows bring it back and more: they end above the pixels at
# every count, and 125 photographs with these features do as well as 500 raw ones. Each
# point is one split and 1,000 other photographs, so one or two points may be luck. The order is the same
# at every count.
#
# ## What does one ask of a picture that has no class?
#
# A body or a texture has no name. So the network does not learn to name anything. It learns to **describe**:
# where are edges, which way do they run, how strong are they, how bright is it? A description that is easy to
# compute by hand: **histograms of oriented gradients**, HOG (Dalal and Triggs 2005). Wei et al. 2022
# ([arXiv 2112.09133](https://arxiv.org/abs/2112.09133)) train ViTs to predict the HOG of *masked*
# patches; here nothing is masked. (A
# gradient here is a change of brightness, not that of a loss.)

# %% tags=["folded"]
# @title Drawing: a description without words
chosen = [rows[name][i] for name, i in (("letters", 0), ("bodies", 0), ("fractals", 3))]
chosen = torch.stack([*chosen, clothes.train.images[0], clothes.train.images[5]])


def strokes(votes):
    """(9, 7, 7) to line segments along the edges, one for each cell and direction, and widths."""
    edges = (votes[:4] + votes[4:8]) ** 2  # an edge looks the same from either side
    edges = 3 * edges / edges.max()
    lines, widths = [], []
    for d in range(4):
        angle = d * math.pi / 4 + math.pi / 2
        for y in range(7):
            for x in range(7):
                size = float(edges[d, y, x])
                cx, cy = 4 * x + 3.5, 4 * y + 3.5  # cells of 8 x 8 pixels, 4 apart
                dx, dy = size * math.cos(angle), size * math.sin(angle)
                lines.append([(cx - dx, cy - dy), (cx + dx, cy + dy)])
                widths.append(0.3 + size)
    return lines, widths


def draw_sketches(pictures, title):
    """Pictures, uint8 (n, 3, 32, 32), above the sketches of their edges."""
    hog = oriented_gradients(pictures).view(-1, 9, 7, 7)  # 8 directions, brightness; 7 x 7 cells
    with style():
        figure, axes = plt.subplots(2, len(pictures), figsize=(1.6 * len(pictures) + 1, 3.9))
        for (top, below), picture, f in zip(axes.T, pictures, hog):
            top.imshow(picture.permute(1, 2, 0))
            lines, widths = strokes(f)
            below.add_collection(LineCollection(lines, linewidths=widths, color=BLUE))
            below.set_facecolor("white")
            for ax in (top, below):
                ax.set(xlim=(-0.5, 31.5), ylim=(31.5, -0.5), xticks=[], yticks=[], aspect="equal")
                ax.grid(False)
        for ax, name in zip(axes[:, 0], ("the picture", "its edges,\ncell by cell")):
            ax.set_ylabel(name, rotation=0, ha="right", va="center")
        suptitle(figure, title)


draw_sketches(chosen, "The target: a sketch of edges. No class, no label")

# %% [markdown]
# Above the picture, below what the network must predict. Each of 7 × 7 cells has a stroke for every
# direction, longer where the edges are stronger. (Cells overlap, so the sketch is a little blurred. The eight
# directions tell dark-to-light from light-to-dark; the drawing adds opposite ones.) Build the heart of it.

# %% [markdown] tags=["hints"] exercise="A1.votes"
# ### Exercise 1: votes for directions
#
# A pixel's gradient has two parts: `dx`, how fast brightness grows to the right, and `dy`, downwards. Write
# `votes(dx, dy)`, from two tensors $(H, W)$ to $(8, H, W)$. The eight directions are at the angles $\theta_d = 0,
# 45°, \ldots, 315°$. A gradient of length $\ell$ and angle $\varphi$ gives direction $d$ the vote
#
# $$\ell \cdot \max\big(0, \cos(\varphi - \theta_d)\big)^4 .$$
#
# <details><summary>Hint 1</summary>
#
# `torch.atan2(dy, dx)` is the angle in radians, `torch.hypot(dx, dy)` the length.
#
# </details>
# <details><summary>Hint 2</summary>
#
# `thetas[:, None, None]` has shape (8, 1, 1) and meets an angle (H, W) in shape (8, H, W).
#
# </details>


# %% tags=["exercise"] exercise="A1.votes"
def votes(dx, dy):
    """dx, dy (H, W) to the votes for eight directions, (8, H, W)."""
    ...  # your code


check("A1.votes", votes)

# %% [markdown] tags=["solution"] exercise="A1.votes"
# <details><summary>Solution</summary>
#
# ```python
# def votes(dx, dy):
#     thetas = torch.arange(8) * math.pi / 4  # (8,)
#     turn = torch.atan2(dy, dx) - thetas[:, None, None]  # (8, H, W)
#     return torch.hypot(dx, dy) * turn.cos().clamp(min=0) ** 4
# ```
#
# The fourth power makes the vote narrow. `oriented_gradients` then takes means over cells, and roots, so that
# a few strong edges do not drown many weak ones.
#
# </details>

# %% [markdown]
# ### A texture of your own
#
# Any formula in $x$ and $y$ draws a texture. Here is one, and beside it its negative, dark where it was light.
# **Predict**: which strokes of the sketch change?

# %%
y, x = torch.meshgrid(torch.arange(32.0), torch.arange(32.0), indexing="ij")  # (32, 32) each
texture = torch.sin(x / 2 + 3 * torch.sin(y / 5))  # from -1 to 1: write your own
mine = (127.5 * (texture + 1)).byte().expand(3, 32, 32)
pair = torch.stack([mine, 255 - mine])
one, other = oriented_gradients(pair)  # (441) each
moved = (one - other).abs().max().item() / one.max().item()
draw_sketches(pair, "The negative has the same sketch")
print(f"the numbers behind the sketches differ by up to {moved:.0%} of the largest")

# %% [markdown]
# None: an edge stays an edge. But the network must predict more than the drawing shows. Every vote has gone to the
# opposite direction, and brightness has turned round. Now write formulas of your own. Can you draw a star in every
# cell? And a picture full of lines, whose sketch is empty but for the rim?
#
# <details><summary>Stars, and nothing</summary>
#
# `torch.sin(x) * torch.sin(y)`, a chequered cloth, has edges both ways in each cell: stars. `torch.cos(math.pi * x)` draws
# stripes one pixel wide, and the sketch sees none of them. A gradient is the difference between the neighbours on
# either side, and here those two are always alike.
#
# </details>
#
# ## Is that a good target?
#
# A target is worth predicting if it holds what one needs later. So let us cheat: skip the network, and fit the
# probe on the sketch itself.

# %%
wanted = GradientCriterion(draw_mix(300 if smoke else 2000, SOURCES, seed=0).images)


class Sketch(nn.Module):
    """Looks like a backbone to ``linear_probe``; its features are the targets."""

    def forward_features(self, x):
        return wanted.targets(((x * 0.5 + 0.5) * 255).round())  # from [-1, 1] back to pixels

    def forward_head(self, x, pre_logits=True):
        return x


told = worth(Sketch(), counts[-1])
print(f"the sketch itself, {counts[-1]} photographs: {told:.1%}")
print(f"what the network made of it:          {best:.1%}")
print(f"raw pixels:                           {pixels:.1%}")

# %% [markdown]
# The sketch, a recipe made by hand in 2005, does as well as the network that learned to predict it. That is honest
# news. (The probe of lesson 00 got less from these features, because it trained for three epochs only.)
#
# In private learning hand-made features are a strong baseline. They beat networks that were trained privately from
# scratch, until features from similar public data, or much more private data, come in (Tramèr and Boneh 2021, [arXiv
# 2011.11660](https://arxiv.org/abs/2011.11660)). Why a network, then? A sketch is finished. A network can be
# **fine-tuned**, it can follow a cipher (lesson 04), and nobody has to rewrite it for the next task.
#
# The target of the shipped run is HOG in a handier form: of 441 numbers for each picture (49 cells, each with eight
# directions and brightness), the 128 directions in which pictures differ most, scaled so that small ones count too.
# `GradientCriterion` is twenty lines.

# %% [markdown] tags=["hints"] exercise="A1.blind"
# ### Exercise 2: the blind guess
#
# Before you read any training log, ask how well one does **without looking**. For squared errors: write
# `blind_error(targets)`, with `targets` of shape $(N, T)$. A blind guess is one row of $T$ numbers, the same for
# all $N$ pictures. Return the mean squared error, over all $N \cdot T$ numbers, of the best one.
#
# <details><summary>Hint 1</summary>
#
# Which number is closest to many numbers, in squared error? Every column has its own.
#
# </details>
# <details><summary>Hint 2</summary>
#
# What remains around the mean has a name. Divide by $N$, not by $N - 1$.
#
# </details>


# %% tags=["exercise"] exercise="A1.blind"
def blind_error(targets):
    """targets (N, T) to the smallest mean squared error of a constant guess."""
    ...  # your code


check("A1.blind", blind_error)

# %% [markdown] tags=["solution"] exercise="A1.blind"
# <details><summary>Solution</summary>
#
# ```python
# def blind_error(targets):
#     return (targets - targets.mean(dim=0)).square().mean()
# ```
#
# The mean of each column is the best guess, and the variance is what it misses. For a classifier the same
# question has another answer: with $K$ classes a blind guess costs $\ln K$ in cross-entropy.
#
# </details>

# %% [markdown]
# The targets are scaled so that a blind guess costs 1. Now the log, which ships beside the weights.

# %%
log = json.loads(Path(weights_of("vit_micro_synthetic")).with_suffix(".json").read_text())
history, batch, rate = log["history"], log["batch_size"], log["lr"]
print(f"{log['images']:,} pictures of {', '.join(log['sources'])}")
print(f"{log['epochs']} epochs, batches of {batch}, {log['seconds'] / 60:.0f} minutes")
print(f"error at the end: {log['held_out']:.3f}, where a blind guess has 1")

# %% [markdown]
# ## Half an hour, and then
#
# The learning rate rises at first and then falls to almost nothing. So its schedule must know in advance how many
# steps there will be. A colleague runs the shipped recipe with ten pictures more, 80,010, and computes that number in
# one line. **Predict**: when does the mistake show?

# %%
recipe = Recipe(log["epochs"], batch, rate, warmup=log["warmup"])
counted = math.ceil(recipe.epochs * 80_010 / batch)  # the colleague's line
optimizer = make_optimizer(nn.Linear(1, 1), recipe)  # a stand-in: only its rate matters
scheduler = make_scheduler(optimizer, recipe, counted)
taken = [epoch for epoch in range(recipe.epochs) for _ in range(0, 80_010, batch)]  # step by step
for step, epoch in enumerate(taken, start=1):
    optimizer.step()
    try:
        scheduler.step()
    except ValueError as error:
        print(f"epoch {epoch + 1}, step {step:,} of {len(taken):,}: {error}")
        break

# %% [markdown]
# With six steps to go. In a loop without checkpoints half an hour is gone, and no weights are written. And this
# scheduler is the friendly kind, which raises. A cosine without such a check says nothing: past its end the rate rises
# again. With the 80,000 pictures of the shipped run the same line was right. Why?

# %% [markdown] tags=["hints"] exercise="A1.steps"
# ### Exercise 3: six steps more
#
# Write the number that the schedule should have been given: all steps of a run that goes through all images in every
# epoch, in batches. The last batch of an epoch may be smaller.
#
# <details><summary>Hint 1</summary>
#
# Begin with a single epoch of 10 images in batches of 4. How many batches is that?
#
# </details>
# <details><summary>Hint 2</summary>
#
# Round up within the epoch, then multiply. `math.ceil` rounds up.
#
# </details>


# %% tags=["exercise"] exercise="A1.steps"
def total_steps(images, batch_size, epochs):
    """The number of optimiser steps in a whole run."""
    ...  # your code


check("A1.steps", total_steps)

# %% [markdown] tags=["solution"] exercise="A1.steps"
# <details><summary>Solution</summary>
#
# ```python
# def total_steps(images, batch_size, epochs):
#     return epochs * math.ceil(images / batch_size)
# ```
#
# The colleague rounded once, at the end. But the smaller last batch comes back in every epoch. Of 80,000 pictures
# there is none, because 128 divides them: there every way of counting is right.
#
# </details>

# %% tags=["folded"]
# @title Drawing: the log, and the schedule made again
per_epoch = math.ceil(log["images"] / batch)
steps = log["epochs"] * per_epoch
optimizer = make_optimizer(nn.Linear(1, 1), recipe)  # a stand-in: only its rate matters
scheduler, rates = make_scheduler(optimizer, recipe, steps), []
for _ in range(steps):
    rates.append(scheduler.get_last_lr()[0])
    optimizer.step()
    scheduler.step()
rates.append(scheduler.get_last_lr()[0])
epochs = [row["epoch"] for row in history]
with style():
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4))
    left.plot(epochs, [r["loss"] for r in history], "o-", color=ORANGE, label="while training")
    left.plot(epochs, [r["held_out"] for r in history], "s-", color=BLUE, label="held out, after")
    left.axhline(1, color=GREY, linestyle="--", label="blind guess")
    left.set(xlabel="epoch", ylabel="mean squared error", yscale="log", ylim=(0.03, 1.5))
    left.set_yticks([0.03, 0.1, 0.3, 1], ["0.03", "0.1", "0.3", "1"])
    start, end = (history[place]["held_out"] for place in (0, -1))
    left.set_title(f"Held out: from {start:.2f} to {end:.3f}")
    left.legend(fontsize=9)
    right.plot(rates, color=GREY, label="make_scheduler, anew")
    ends = [row["epoch"] * per_epoch for row in history]
    right.plot(ends, [r["lr"] for r in history], "o", color=BLUE, label="the log")
    right.set(xlabel="step", ylabel="learning rate", ylim=(0, 1.3 * rate))
    right.set_title(f"The rate over {steps:,} steps")
    right.legend(fontsize=9)
gap = max(abs(rates[end] - row["lr"]) for end, row in zip(ends, history))
print(f"largest difference between the schedule and the log: {gap:.1e}")

# %% [markdown]
# Read the left panel from the dashed line. Orange is the mean **over** an epoch, while the weights still move;
# blue is measured **after** it, on pictures that were drawn anew. Blue stays close to orange: the
# network does as well on pictures that it never saw, so it has hardly learned its 80,000 by heart.
#
# ## Which pictures teach most?
#
# **Predict**: which of the four sources teaches most alone, and does the mix of all four do better than the best of them?
# Each was tried with the same number of pictures and epochs. The cell reads a table, which `python -m
# figures.studies.sources` made in less than an hour.

# %% tags=["folded"]
# @title Drawing: what a linear classifier makes of each network's features
sources = pd.read_csv(root / "figures" / "results" / "sources.csv").set_index("name")["probe"]
names = {"pixels": "no network: raw pixels", **{name: f"{name} alone" for name in SOURCES}}
names["+".join(SOURCES)] = "all four, as many in all"
names |= {"vit_micro": "all four, more and longer", "vit_mini": "the same, a larger network"}
with style():
    figure, ax = plt.subplots(figsize=(8.2, 3.4))
    for place, name in enumerate(names):
        colour = GREY if name == "pixels" else BLUE if name in SOURCES else ORANGE
        value = 100 * sources[name]
        ax.plot(value, place, "o", color=colour, markersize=9)
        ax.text(value + 0.25, place, f"{value:.1f}", va="center")
    ax.set_yticks(range(len(names)), names.values())
    ax.set(xlabel="per cent of 10,000 clothes named, from 50,000 labels", xlim=(77, 91))
    ax.invert_yaxis()
    ax.grid(axis="y", visible=False)
    ax.set_title("Three kinds are level, and textures lose to raw pixels")

# %% [markdown]
# Letters, fractals and bodies alone are level: differences below a point can be chance, and another seed might move them more. Textures alone are worse
# than no network at all. And at the same size the mix is no better than letters. What helped is more of everything: the shipped
# `vit_micro` saw 80,000 pictures eight times instead of 30,000 four times; `vit_mini` saw as many and is four times as large.
# (All of these clothes are training photographs. The recipe that ships was chosen on such, which flatters it a little.)
#
# ## A tiny pre-training
#
# The shipped run took the better part of half an hour. Here is the same function with a fortieth of the
# pictures. It writes the same two files. **Predict**: how far below 1 will it get, and what will its features be
# worth?

# %%
folder = TemporaryDirectory()
short = {"images": 256, "recipe": RECIPE.replace(epochs=2)} if smoke else {
    "images": 2000, "recipe": RECIPE.replace(epochs=3, batch_size=32, lr=1e-3)}  # fmt: skip
tiny_file = Path(folder.name) / "tiny.safetensors"
tiny = pretrain_synthetic(tiny_file, progress=False, **short)
print("files:", ", ".join(sorted(path.name for path in Path(folder.name).iterdir())))
for row in tiny["history"]:
    print(f"epoch {row['epoch']}: error {row['held_out']:.3f} on held-out pictures")
tiny_network = create_backbone("vit_micro", pretrained_cfg_overlay={"file": str(tiny_file)})
print(f"its features: {worth(tiny_network, counts[-1]):.1%}, random ones: "
      f"{worths['random weights'][-1]:.1%}, the shipped ones: {best:.1%}")  # fmt: skip

# %% [markdown]
# The error has begun to move; what the features gained could be luck. Nearly all of the way is still to go. Is the code
# wrong, or is it patience that is missing? Two things tell: the blind guess, which you now know, and **a problem so small
# that it must work**, such as learning sixteen photographs by heart.

# %%
seed_everything(0)
model = create_backbone("vit_micro", pretrained=False)
by_heart = fit(model, first(clothes.train, 16), Recipe(epochs=5 if smoke else 40, batch_size=16),
               progress=False)  # fmt: skip
for row in (by_heart[0], by_heart[-1]):
    print(f"epoch {row['epoch']}: loss {row['loss']:.2f}, {row['accuracy']:.0%} of 16 right")
print(f"a blind guess among 10: {math.log(10):.2f}")

# %% [markdown]
# ## Find the silent bug
#
# A colleague trained the backbone on several GPUs and saved it. Now he loads it for clothes. Ten classes, so the
# old head does not fit and is left out; hence `strict=False`, as in many tutorials. Nothing raises an error.

# %%
stored = load_file(weights_of("vit_micro_synthetic"))
saved = {f"module.{name}": tensor for name, tensor in stored.items()}  # what DataParallel saves


def load_for_clothes(weights):
    """A backbone with these weights, its head left out; and what the loading said."""
    seed_everything(0)
    network = create_backbone("vit_micro", pretrained=False)
    no_head = {name: tensor for name, tensor in weights.items() if "head" not in name}
    return network, network.load_state_dict(no_head, strict=False)


network, said = load_for_clothes(saved)
print(f"a probe on the loaded network: {worth(network, counts[-1]):.1%}")

# %% [markdown]
# Which line of the second picture does that look like? What does `strict=False` allow, besides a missing head?
# And who looked at `said`?
#
# <details><summary>What went wrong</summary>
#
# `DataParallel` puts `module.` in front of every name. So no name in the file fits a name in the model, and
# `strict=False` allows that: **nothing** was loaded. The probe stands on random weights. Any prefix does the same.
# With fine-tuning of everything and much data you might never notice: the network learns anyway, slower and worse.
#
# `load_state_dict` returns the names that were missing and those that did not fit. Say what may be missing, and
# refuse everything else.
#
# </details>

# %%
print(f"missing {len(said.missing_keys)} names, unknown {len(said.unexpected_keys)}")
right = {name.removeprefix("module."): tensor for name, tensor in saved.items()}
network, said = load_for_clothes(right)
assert set(said.missing_keys) == {"head.weight", "head.bias"} and not said.unexpected_keys
print(f"missing {said.missing_keys}")
print(f"a probe on the loaded network: {worth(network, counts[-1]):.1%}")

# %% [markdown]
# ## Why pre-training costs no epsilon here
#
# An $\varepsilon$ (lesson 06) compares two worlds: one with your picture among the private ones, one without. The
# pictures of the pre-training come from a random number generator. So do they differ between the two worlds?

# %%
again = {name: draw_pictures(name, 12, torch.Generator().manual_seed(3)) for name in SOURCES}
print("drawn again:", all(torch.equal(again[name], rows[name]) for name in SOURCES))

# %% [markdown]
# They are the same, bit by bit, and so is everything computed from them. Whatever your picture is, the backbone is
# what it is. All of $\varepsilon$ can go to the fine-tuning.
#
# With public photographs the same sentence needs a condition: **they must really be public.** If one of the
# private pictures was among them, the backbone may remember it, and no accountant counts that. What can be
# downloaded was not always meant to be learned from (Tramèr, Kamath and Carlini 2022, [arXiv
# 2212.06470](https://arxiv.org/abs/2212.06470)). They also point out that public data is often much closer to
# the private data in a benchmark than it would be in life. Synthetic pictures are free of both worries.
#
# ### What tuning cost
#
# One thing was **not** free. Several targets and mixes of pictures were tried. The one that ships made the best linear
# probe on 20,000 training photographs of clothes, and that choice looked at data which this course then calls private. It
# is a choice among a few recipes, and gives away little; but "little" is not a proof, and no $\varepsilon$ in this course
# counts it. In earnest there are two ways out: choose on another, public data set, or pay for the choice (Papernot and
# Steinke 2021, [arXiv 2110.03620](https://arxiv.org/abs/2110.03620)).
#
# The 10,000 test photographs chose nothing. On these, with 60,000 labels, `vit_micro` has 87.3 %, `vit_mini` 88.3 and raw
# pixels 84.1 (`figures/results/sources.csv`). Above, 2,000 labels gave about as much. But there only 1,000 photographs
# were named, and chance moves such a number by two points either way.
#
# One more thing came from knowing the task: somebody who had seen clothes wrote a program that draws mirrored
# bodies, most of them on black. That is knowledge of a *kind* of picture, not of anybody's picture.
#
# ## Recap: three questions
#
# Open the answer you would give; it tells you whether it holds.
#
# **1. Why compare the features with those of a random network, and not only with a blind guess of 10 %?**
# <details><summary>A random network shows what a picture is worth before anything was learned</summary>✓ A
# random view of a picture keeps much of it, and a probe can use that. Only what is above it was
# learned.</details>
# <details><summary>A random network guesses too, but it gets a little more than 10 % by luck</summary>✗ It is
# not luck: a probe on random features is far above 10 %, because much of the picture is still in
# them.</details>
# <details><summary>A random network has the worst features that there can be</summary>✗ Features that say the
# same of every picture would be worse. It is the start of the training, not the bottom of all.</details>
#
# **2. Your first epoch ends with an error of 0.98, and a blind guess has 1. What do you do?**
# <details><summary>Stop and rewrite the code: a sound network is far below 1 by then</summary>✗ A ViT starts
# slowly. The tiny run above was at 0.95 after its first epoch, with sound code.</details>
# <details><summary>Wait: if the loss falls at all, only patience is missing</summary>✗ That may be so, but
# you do not know it. A small test tells before the long run does.</details>
# <details><summary>Give it sixteen pictures: can it learn those by heart?</summary>✓ That is a problem so
# small that it must work. If it does not, something is broken.</details>
#
# **3. A company pre-trains on its customers' pictures. Then it fine-tunes with ε = 1 on those of a hospital.
# For whom does ε hold?**
# <details><summary>For both: the noise of the fine-tuning falls on all weights that came before</summary>✗
# That noise hides one example of the fine-tuning. What the weights knew before has no bound.</details>
# <details><summary>For the hospital's examples only: they alone were trained on with noise</summary>✓ ε
# compares a fine-tuning with and without one of them. The customers have no promise at all.</details>
# <details><summary>For the hospital's examples, and more weakly for the customers, as traces fade</summary>✗
# Traces may fade, but nobody has proved how far. Without a proof there is no ε, not even a weak
# one.</details>
#
# ## What you can do now
#
# - Measure features by a linear probe, beside pixels and random weights.
# - Choose a target that needs no label, and read a log from the blind guess down.
# - Check what a loader did **not** load.
#
# To make the shipped weights yourself: `python -m lorakit.experiments.pretrain_synthetic vit_micro`. It replaces
# the file. Go back to [the start](00_start_here.ipynb), or on to [lesson 02](02_adapting_a_vit.ipynb), which
# adapts these weights.
#
# ## What this does not protect
#
# - **Pre-training hides nothing.** What it saw, it may remember. Here it saw nobody.
# - **"Public" is a fact about the data, not a setting in the code.** No function checks it for you.
# - **Published weights help an attacker of the cipher** (lesson 05): the patch embedding is known.
#
# ## Going further: stop, and go on
#
# Half an hour is long enough for a laptop to be closed. `fit` and `pretrain_synthetic` write a **checkpoint**
# after every epoch: weights, the optimiser's state, the place in the schedule, the random generator. Without any
# of these the run would go on to another result. Below, a callback stops a run inside its second epoch.

# %%
few = first(clothes.train, 64 if smoke else 128)
recipe, path = Recipe(epochs=3, batch_size=64, lr=1e-3), Path(folder.name) / "run.checkpoint"


def fresh():
    """A ViT at its random start, the same every time."""
    seed_everything(0)
    return create_backbone("vit_micro", pretrained=False)


quiet = {"progress": False}
fit(fresh(), few, recipe, checkpoint=path, callback=lambda moment: moment.epoch == 2, **quiet)
resumed, unbroken = fresh(), fresh()
fit(resumed, few, recipe, checkpoint=path, **quiet)
fit(unbroken, few, recipe, **quiet)
pairs = zip(resumed.parameters(), unbroken.parameters())
print(f"largest difference of a weight: {max((a - b).abs().max().item() for a, b in pairs):.1e}")
folder.cleanup()

# %% [markdown]
# On a CPU the difference is zero, to the last bit. (A GPU may add up numbers in another order.)
#
# ## ★ Open task: a source of your own
#
# Draw a fifth kind of picture: plaids, stick figures, coastlines, whatever you can program in forty lines. Pre-train
# on it with a copy of `pretrain_synthetic`, and compare its worth with that of a single source such as `"textures"`
# (`sources=["textures"]`), at the same number of pictures and epochs. `python -m figures.studies.sources` does
# this for the four, overnight.
#
# | your report | points |
# | --- | --- |
# | shows twelve of your pictures, and says what no photograph was needed for | 2 |
# | compares at equal pictures, epochs and seed, beside random weights and raw pixels | 3 |
# | repeats with three seeds, and shows all of them, not only the mean | 3 |
# | says on which photographs you made your choices, and measures on others | 2 |

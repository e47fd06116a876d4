# ---
# jupyter:
#   lorakit:
#     title: Private steps, further
#     learn:
#     - correlate the noise of private steps, and prove that the promise holds
#     - say what that asks of sampling and accountant, and catch a training that forgot it
#     - compute the length of a per-example gradient without the gradient
#     - say when a private step is nearly as cheap as a plain one, and when it is not
#     needs: How DP-SGD works (lesson 06) and how to use it (07). Nothing later depends on this lesson.
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
# Each private step adds noise to the weights, and there it stays. After 80 steps a weight carries the sum of 80 of
# them: a walk that strays (grey). **What if each step took back a part of the noise of the steps before (blue)? And how
# can that keep the same $\varepsilon$?**

# %% tags=["parameters"]
preset = "quick"  # smoke: seconds, for tests; quick: what the outputs show

# %% tags=["context"]
import time
import warnings

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from exercises import check
from matplotlib.patches import Rectangle
from opacus import GradSampleModule
from scipy.linalg import toeplitz

from lorakit import Privacy, apply_method, create_backbone, load, normalise, read_table
from lorakit.figures.style import METHOD_COLOURS, OTHER_COLOURS, style, suptitle
from lorakit.figures.tables import half_width
from lorakit.privacy.accountant import compute_epsilon
from lorakit.privacy.banded import as_dp_sgd, band_weights, running_noise
from lorakit.runtime import device_name, seed_everything

warnings.filterwarnings("ignore", "Full backward hook")
results, smoke = root / "figures" / "results", preset == "smoke"
BLUE, GREY, ORANGE = OTHER_COLOURS[0], "#777777", OTHER_COLOURS[1]

# %% tags=["folded"]
# @title Drawing: the noise in one weight
steps, b, rate, delta = 80, 8, 0.0512, 1e-5  # b steps are tied together
kinds = {1: ("DP-SGD", GREY), b: (f"taken back over {b} steps", BLUE)}


def multiplier(epsilon, bands):
    """Sigma, for the recipe of those runs."""
    return Privacy(epsilon, delta, bands=bands if bands > 1 else None).sigma(rate, steps)


def tied(bands):
    """The matrix M of the text, (steps, steps): column t starts at row t, with weights c."""
    return toeplitz(np.r_[band_weights(bands), np.zeros(steps - bands)], np.zeros(steps))


with style():
    figure, axes = plt.subplots(1, 2, figsize=(9.4, 3.8), sharey=True)
    x = np.arange(1, steps + 1)
    for ax, (bands, (label, colour)) in zip(axes, kinds.items()):
        size = multiplier(8.0, bands)
        fresh = size * np.random.default_rng(0).standard_normal((steps, 30))
        walks = np.linalg.solve(tied(bands), fresh).cumsum(axis=0)
        ax.plot(x, walks, color=colour, alpha=0.35, lw=0.8)
        for sign in (1, -1):
            ax.plot(x, sign * size * running_noise(bands, steps), color=colour, lw=3)
        ax.set(xlabel="step", title=label)
        ax.text(0.03, 0.05, "thick: ± one standard deviation", transform=ax.transAxes, fontsize=9)
    axes[0].set_ylabel("sum of the noise so far, in units of C")
    suptitle(figure, "The same ε = 8, and less noise in the weights")

# %% [markdown]
# The blue walks stay closer to zero, from the tenth step or so. This lesson shows why that is allowed, what it costs, and
# whether a model gains by it. The second half is about another price, time and memory, and shows why LoRA hardly pays it.
#
# The settings are those of the runs behind lesson 07's first picture: 10,000 clothes, an expected batch of 512 and four
# epochs, so $q = 0.0512$ and $T = 80$ steps; $\delta = 10^{-5}$. The drawing is for plain SGD at a fixed rate, where noise
# stays in the weights as it came. Adam divides it by the size of a step first; we come back to that.
#
# ## Predict: is it worth its price?
#
# Nothing is free. If you take noise back over $b$ steps, no picture may come twice within $b$ steps, or what it adds
# would pile up. So deal the data into $b$ parts, and let step $t$ draw from part $t \bmod b$ alone, at $b$ times the rate.
# Each picture comes as often as before, but an onlooker knows better when. **Sampling hides less, so $\sigma$ must be
# larger.** With $b = 8$ each single step gets two to four times the noise of DP-SGD. **Predict**: is their sum still
# smaller? For a strict promise ($\varepsilon = 0.5$), for a loose one (8), or for both?

# %% tags=["folded"]
# @title Drawing: what is left of the noise
ties = (1, 2, 4, 8) if smoke else (1, 2, 3, 4, 6, 8, 12, 16)
with style():
    figure, ax = plt.subplots(figsize=(7.4, 4))
    for e, colour in zip((0.5, 2.0, 8.0), ("#D55E00", "#CC79A7", "#009E73")):
        sizes = [multiplier(e, n) * (running_noise(n, steps) ** 2).mean() ** 0.5 for n in ties]
        left = [size / sizes[0] for size in sizes]
        ax.plot(ties, left, "o-", color=colour)
        ax.text(1.06 * ties[-1], left[-1] + 0.012, f"ε = {e:g}", color=colour, va="bottom")
    ax.plot(ties[:: len(ties) - 1], [1, 1], color=GREY, lw=1)
    ax.text(1.06 * ties[-1], 1, "DP-SGD", color=GREY, va="center")
    ax.set_xscale("log", base=2)
    ax.set_xticks(marked := [n for n in ties if n in (1, 2, 4, 8, 16)], marked)
    ax.set(xlabel="steps tied together, b", ylabel="noise in the weights,\nDP-SGD = 1")
    ax.set_xlim(0.95, 1.5 * ties[-1])
    suptitle(figure, "Taking noise back pays when the promise is loose")

# %% [markdown]
# The noise in the weights is the root of its mean square over all steps. The loose promise gains. At $\varepsilon = 2$ to
# tie two or three steps gains two per cent or so, and to tie eight loses six. Where the promise is strict, sampling did
# most of the hiding. To give some of it away costs more than the noise taken back is worth. (The kinks on the right come
# from rounding $T / b$ up.)
#
# ## Why it is allowed
#
# Write all steps at once. $G$ holds the sums of clipped gradients, a row for each step. $Z$ is fresh noise of standard
# deviation $\sigma C$. And $M$ is a matrix with $b$ diagonals of weights $c_0, c_1, \dots$, whose columns have length 1 at
# most. What is released is
#
# $$G + M^{-1} Z = M^{-1} (M G + Z),$$
#
# so it is enough to protect $M G + Z$. Look at one picture:
#
# 1. In step $t$ it adds a gradient, of length $C$ at most, to row $t$ of $G$.
# 2. In $M G$ this adds column $t$ of $M$ times that gradient: $b$ rows, together no longer than $C$.
# 3. Its turns are $b$ steps apart, so no row meets two of them.
# 4. Cut $M G + Z$ into blocks of $b$ rows. In each block the picture takes part with probability $b q$, moves it by $C$ at most, and
#    meets noise of $\sigma C$. That is **one** step of DP-SGD, with rate $b q$.
# 5. There are $T / b$ blocks, rounded up. So the promise is that of DP-SGD with rate $b q$ and $T / b$ steps.
#
# ($M$ is lower triangular, so it does no harm that each gradient depends on what was released before. Choquette-Choo et al. 2023,
# [arXiv 2306.08153](https://arxiv.org/abs/2306.08153), "banded matrix factorisation"; the weights after Kalinin and
# Lampert 2024, [arXiv 2405.13763](https://arxiv.org/abs/2405.13763).)
#
# Here is $M$ for the first 24 steps. A picture dealt to part 2 can have a turn only at the marked steps:

# %% tags=["folded"]
# @title Drawing: the columns that one picture can move
turns = np.arange(2, 24, b)
with style():
    figure, axes = plt.subplots(1, 2, figsize=(8.6, 4))
    for ax, (mine, title) in zip(
        axes,
        (
            (turns, "dealt into parts: its columns do not meet"),
            (np.array([2, 4, 5, 12, 15]), "drawn from all: they add up"),
        ),
    ):
        seen = tied(b)[:24, :24]
        ax.imshow(np.where(seen > 0, seen, np.nan), cmap="Greys", vmin=0, vmax=1)
        for t in mine:
            ax.add_patch(
                Rectangle((t - 0.5, t - 0.5), 1, min(b, 24 - t), fc="none", ec=ORANGE, lw=2)
            )
        rows_met = (seen[:, mine] > 0).sum(axis=1)  # turns that move the same row
        for row in np.flatnonzero(rows_met > 1):
            wide = np.flatnonzero(seen[row])
            ax.add_patch(
                Rectangle((wide[0] - 0.5, row - 0.5), len(wide), 1, color=ORANGE, alpha=0.3, lw=0)
            )
        ax.set(
            xlabel="column of M: step of the gradient",
            ylabel="row of M: what is protected",
            title=title,
        )
        ax.title.set_fontsize(11)
        ax.grid(False)

# %% [markdown]
# Left: every orange box is one turn of the picture, each in rows of its own. Right: the same picture, had it been drawn from all
# the data at every step. In shaded rows two of its turns move one number, and our proof stops. (Such sampling has a proof
# and an accountant of its own: Choquette-Choo et al. 2023, [arXiv 2310.15526](https://arxiv.org/abs/2310.15526).)
#
# The proof is for neighbours that leave a hole: one picture goes, and all others keep their part. A test of lorakit plays a
# small worst case 400,000 times, with one number and 6 or 7 steps. The $\delta$ that it finds lies between seven tenths of
# the accountant's and all of it. In a recipe it is one argument: `Privacy(epsilon, delta, bands=8)`.

# %% [markdown] tags=["hints"] exercise="A2.back"
# ### Exercise 1: take it back
#
# Write `take_back(z, c)`. It gets the fresh noise of $T$ steps, `z` of shape `(T, d)`, and the weights `c` of shape
# `(b,)`. It returns the noise `n` to add, `(T, d)`, for which
#
# $$c_0 n_t + c_1 n_{t-1} + \dots + c_{b-1} n_{t-b+1} = z_t$$
#
# at each step; before the first step there is none. Steps are counted from 0, as in Python.
#
# <details><summary>Hint 1</summary>
#
# Solve for $n_t$. All others are known when its turn comes.
#
# </details>
# <details><summary>Hint 2</summary>
#
# At step $t$ there are at most $t$ earlier ones: `range(1, min(len(c), t + 1))`.
#
# </details>


# %% tags=["exercise"] exercise="A2.back"
def take_back(z, c):
    """Fresh noise z (T, d) and weights c (b,) to the noise that is added, (T, d)."""
    ...  # your code


check("A2.back", take_back)

# %% [markdown] tags=["solution"] exercise="A2.back"
# <details><summary>Solution</summary>
#
# ```python
# def take_back(z, c):
#     n = torch.zeros_like(z)
#     for t in range(len(z)):
#         past = sum(c[j] * n[t - j] for j in range(1, min(len(c), t + 1)))
#         n[t] = (z[t] - past) / c[0]
#     return n
# ```
#
# With one weight it is DP-SGD. `lorakit.training.correlated` is this, for all parameters and without keeping more than
# $b - 1$ steps.
#
# </details>

# %% [markdown]
# ## Does it make a better model?
#
# `lora+patch` with $b = 8$, five seeds, each against DP-SGD with the same seed and recipe. (`python -m
# figures.studies.claim banded` made them, on a GPU; DP-SGD ran on a CPU.) For each kind of noise we searched the learning
# rates only, at $\varepsilon = 2$. With noise taken back, the best rates were four times as large: AdamW divides by the
# size of a step, and single steps are noisier now. **Predict** the sign at each $\varepsilon$ from the second drawing.

# %%
rows = read_table(results / "privacy.csv")
pairs = read_table(results / "banded.csv").merge(
    rows, on=["method", "epsilon", "seed"], suffixes=("", "_dp_sgd")
)
pairs["gain"] = 100 * (pairs["accuracy"] - pairs["accuracy_dp_sgd"])
print("noise taken back over 8 steps, minus DP-SGD")
for e, line in pairs.groupby("epsilon")["gain"].agg(["mean", "sem", "size"]).iterrows():
    low, high = line["mean"] + half_width(line["sem"], line["size"]) * np.array([-1, 1])
    print(f"  ε = {e:<3g} {line['mean']:+.1f} points [{low:+.1f}, {high:+.1f}]")

# %% [markdown]
# The means at 0.5 and 8 have the signs of the drawing; the one at 2 has not. The drawing is for plain SGD, and AdamW makes
# it a guide and no forecast. At 2 and at 8 the intervals begin at zero, just below and just above: five seeds hardly
# decide, and DP-SGD with a larger rate was not tried at 8. We ran $b = 8$ everywhere, also at $\varepsilon = 2$, where the
# drawing advises against it. So this tests eight steps, not the method at its best.
#
# Sampling is worth most where $\sigma$ is large, as with a strict promise or large batches. But sometimes nobody can draw at
# random: phones, for example, come when they like. There taking noise back is the main tool. It came into training
# there, with trees in place of bands (Kairouz et al. 2021, [arXiv 2103.00039](https://arxiv.org/abs/2103.00039)).
#
# ## Find the silent bug
#
# Somebody has a private training that works, with $\sigma$ found by the accountant for $\varepsilon = 8$. They put in the new
# optimiser, and deal the data into eight parts, as they should. Each picture still has four turns on average. The log says:

# %%
sigma = multiplier(8.0, 1)
spent = compute_epsilon(sigma, rate, steps, delta)
print(f"sigma {sigma:.2f}, q = {rate}, {steps} steps: epsilon {spent:.2f} at delta = {delta:g}")

# %% [markdown]
# No error, and noise that takes itself back. What is wrong?
#
# <details><summary>What went wrong</summary>
#
# Nobody told the accountant. It still counts 80 steps, each of which draws from all the pictures. But within eight steps a
# picture has one turn at a known time, and then it takes part with probability $8 q$. Below is the promise that holds.
#
# </details>

# %%
true = compute_epsilon(sigma, *as_dp_sgd(rate, steps, b), delta)
print(f"what the proof gives: q = {b * rate:.2f}, {steps // b} steps: epsilon {true:.1f}")

# %% [markdown]
# The promise is twice as weak as the log says, in the exponent. In lorakit `bands` is part of `Privacy`, from which optimiser,
# sampling and accountant all follow, so that no two of them can come apart.
#
# ## What a private step costs
#
# Now to the other price. (From here on $A$ and $B$ are LoRA's, $a$ and $g$ a layer's inputs and output gradients.) DP-SGD
# clips the gradient of **each** picture, so it needs the length of each; a plain step only needs their sum. Take one linear
# layer of ViT-B/16, 768 numbers in and 768 out, and one picture of 197 tokens. There are three ways:
#
# - make the whole gradient, as Opacus does with what it calls `hooks`;
# - find its length from two small tables, called `ghost`: that is exercise 2;
# - or train LoRA instead.
#
# What does each leave in memory, for one picture?

# %% tags=["folded"]
# @title Drawing: what one picture leaves behind in one layer, to scale
n, d, r = 197, 768, 4
shapes = {
    "full: the gradient of W": [(d, d)],
    "ghost: two tables of\nproducts of tokens": [(n, n), (n, n)],
    "LoRA: the gradients\nof A and B": [(r, d), (d, r)],
}
with style():
    figure, ax = plt.subplots(figsize=(8.6, 3.9))
    x = 0
    looks = (METHOD_COLOURS["full"], GREY, METHOD_COLOURS["lora"])
    for (name, boxes), colour in zip(shapes.items(), looks):
        wide = max(sum(width for _, width in boxes), 420)
        at = x
        for height, width in boxes:
            ax.add_patch(Rectangle((at, 0), width, -height, color=colour, lw=0))
            at += width + 30
        ax.text(x, 30, f"{name}\n{sum(h * w for h, w in boxes):,} numbers", va="bottom")
        x += wide + 200
    ax.text(x - 200 - d + 60, -60, "A", color=looks[2])
    ax.text(x - 245, -d / 2, "B", color=looks[2])
    ax.set(xlim=(0, x), ylim=(-d - 10, 260), aspect="equal", xticks=[], yticks=[], frame_on=False)
    suptitle(figure, "One picture, one layer: what is left to clip")

# %% [markdown]
# That is why a private LoRA step is cheap: **its gradients are thin before anybody does anything about it**. `hooks` has a
# formula for each kind of layer. For a linear one with inputs $a$ (tokens × in) and gradients $g$ of its outputs (tokens ×
# out), the gradient of one picture is $g^\top a$: one multiplication.
#
# If all you want is its **length**, to clip, there is a way around the large matrix. The middle box shows it, and you write it.

# %% [markdown] tags=["hints"] exercise="A2.ghost"
# ### Exercise 2: the length of a gradient that was never made
#
# Write `ghost_norms(a, g)` for a linear layer without bias. It gets the inputs `a` of $n$ pictures, `(n, T, d_in)`, and the gradients `g` of the layer's
# outputs, `(n, T, d_out)`, for $T$ tokens. It returns the length of each picture's gradient $g^\top a$, `(n,)`, and never makes a tensor of
# shape `(n, d_out, d_in)`.
#
# <details><summary>Hint 1</summary>
#
# The gradient is $\sum_t g_t a_t^\top$, a sum over tokens. Its squared length is a sum over **pairs** of tokens: what is the inner product
# of $g_t a_t^\top$ and $g_s a_s^\top$?
#
# </details>
# <details><summary>Hint 2</summary>
#
# It is $(g_t \cdot g_s)(a_t \cdot a_s)$. All $g_t \cdot g_s$ of a picture are one matrix, `g @ g.mT`, of shape `(n, T, T)`.
#
# </details>


# %% tags=["exercise"] exercise="A2.ghost"
def ghost_norms(a, g):
    """Inputs a (n, T, d_in), output gradients g (n, T, d_out) to the lengths of g^T a, (n,)."""
    ...  # your code


check("A2.ghost", ghost_norms)

# %% [markdown] tags=["solution"] exercise="A2.ghost"
# <details><summary>Solution</summary>
#
# ```python
# def ghost_norms(a, g):
#     return ((g @ g.mT) * (a @ a.mT)).sum(dim=(1, 2)).clamp(min=0).sqrt()
# ```
#
# `clamp` only guards against rounding below zero. Goodfellow (2015, arXiv 1510.01799) had it for one token, Li et al. (2021, arXiv 2110.05679)
# for many. It pays while $2 T^2$ is less than $d_{in} d_{out}$: 77,618 against 589,824 for the full matrix, but against
# 3,072 for each of $A$ and $B$.
#
# </details>

# %% [markdown]
# **Predict** from the drawing: a private step over a plain one, in time and in memory, for `full` and for `lora+patch`, and once more with `ghost`.

# %% tags=["folded"]
# @title Drawing: a private step over a plain one, as measured
cpu = pd.read_csv(results / "benchmark.csv")
cpu.columns = cpu.columns.str.replace("seconds_ratio", "time")
cpu = cpu.rename(columns={"peak_memory_mb_ratio": "memory"})
gpu = pd.read_csv(results / "gpu.csv").query("part == 'step'")
gpu = gpu.rename(columns={"memory_ratio": "memory"})
gpu.columns = gpu.columns.str.replace("^ratio", "time", regex=True)
large = "vit_base_patch16_224"
places = {
    "CPU, vit_micro,\nbatch 64": cpu[cpu["backbone"] == "vit_micro"],
    "CPU, ViT-B/16,\nbatch 8": cpu[cpu["backbone"] == large],
    "H100, ViT-B/16,\nbatch 64, float32": gpu[
        (gpu["backbone"] == large) & (gpu["precision"] == "float32")
    ],
    "H100, ViT-B/16,\nbatch 64, bfloat16": gpu[
        (gpu["backbone"] == large) & (gpu["precision"] == "bf16")
    ],
}
with style():
    figure, axes = plt.subplots(1, 2, figsize=(9.6, 4.4), sharey=True)
    for y, table in enumerate(places.values()):
        for method, place in (("full", -0.3), ("lora+patch", 0.1)):
            look = {"color": METHOD_COLOURS[method], "markersize": 8, "linestyle": ""}
            for mode, fill, shift in (("hooks", "full", place), ("ghost", "none", place + 0.2)):
                found = table[(table["method"] == method) & (table["mode"] == mode)]
                axes[0].hlines(
                    [y + shift] * len(found), found["time_q1"], found["time_q3"], look["color"]
                )
                for ax, what in zip(axes, ("time", "memory")):
                    ax.plot(
                        found[what],
                        [y + shift] * len(found),
                        marker="o",
                        fillstyle=fill,
                        label=f"{method}, {mode}" if y == 3 else None,
                        **look,
                    )
    for ax, what in zip(axes, ("time", "memory")):
        ax.axvline(1, color=GREY, lw=1)
        ax.set(xlim=(0.8, 4.6), xlabel=f"{what}, plain step = 1")
        ax.set_yticks(range(len(places)), places)
    axes[0].invert_yaxis()
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncol=4)
    suptitle(figure, "With hooks, a private step is cheap where the gradients are thin")

# %% [markdown]
# Filled marks are `hooks`, which lorakit uses; the lines hold half of all rounds. On the CPU a private step of `lora+patch`
# takes three tenths more time than a plain one on the small model; on the large one no price is seen.
# `full` takes 2.4 to 3.6 times as long, and on the larger model 1.8 times the memory.
#
# Hollow marks are `ghost`, which runs a second backward pass. (For `full` on the CPU it was not timed.) LoRA's gradients were
# small to begin with, so there `ghost` only costs time. For `full` on the GPU it saves 61 % of the memory in float32 and
# 71 % in bfloat16, nearly all that privacy had added.
#
# A GPU computes so fast that everything else takes a larger share of the time. There `lora+patch` costs a tenth more in
# float32, and a third more or so in bfloat16. (Such short steps vary: between 1.3 and 1.7 times in the middle half of the
# rounds.) `full` in bfloat16 takes more than three times as long, in either way. With `hooks` it takes four times the
# memory: 86 million numbers for each of 64 pictures are 22 GB, since gradients of examples are kept in float32 even
# here. (Memory on the CPU counts the whole process: compare marks within a row.)
#
# ## A parameter that sits in no layer
#
# `hooks` knows layers. What if a trainable parameter sits in none, as a ViT's position embedding? Opacus then treats the whole model as one unit, and its
# formulas give way to general machinery. We measure it: a position embedding as a small module of its own (lorakit's), against the ViT's raw `pos_embed`.

# %%
clothes = load("fashion", train=8 if smoke else 16, val=0, test=1).train
images, labels = normalise(clothes.images), clothes.labels


def start(method):
    """A pre-trained ViT, adapted, for private training; the same one each time."""
    seed_everything(0)
    return apply_method(create_backbone("vit_micro"), method, private=True)


raw_position = start("lora+patch")
raw_position.pos_embed.requires_grad_(True)
ways = {"raw": raw_position, "module": start("lora+patch+pos")}
ways = {name: GradSampleModule(model) for name, model in ways.items()}
times = {name: [] for name in ways}
for _ in range(2 if smoke else 12):  # in turns, so that both meet the same machine
    for name, model in ways.items():
        begun = time.perf_counter()
        F.cross_entropy(model(images), labels).backward()
        model.zero_grad()
        times[name].append(time.perf_counter() - begun)
middle = {name: np.median(taken[1:]) for name, taken in times.items()}  # the first warms up
ratio = middle["raw"] / middle["module"]
print(f"{device_name(torch.device('cpu'))}: the raw parameter takes {ratio:.1f} times as long")

# %% [markdown]
# One parameter of 17 × 128 numbers, and every step pays for it. So `fit` refuses it under privacy, and says what to take instead.
#
# ## Recap: three questions
#
# Open the answer you would give; it tells you whether it holds.
#
# **1. With noise that is taken back, each single step gets more noise than in DP-SGD. Why may the weights still have less?**
# <details><summary>Each step subtracts a part of what the steps before have added</summary>✓ The weights carry the sum. Its
# terms cancel in part, so it can be small though each of them is large.</details>
# <details><summary>The noise is larger, but the gradients grow with it and stay ahead</summary>✗ Gradients know nothing of
# the noise to come, and they are clipped to the same length as before.</details>
# <details><summary>Only the last step's noise counts, as all earlier noise is gone by then</summary>✗ Not gone: each step
# takes back a part of it. The blue walks still stray, only less.</details>
#
# **2. A colleague takes noise back over eight steps, and shuffles the data before each epoch. Does the accountant's ε hold?**
# <details><summary>Yes: a shuffled epoch shows each picture once, so turns cannot meet</summary>✗ The last step of one epoch
# and the first of the next may show the same picture. And the accountant counts on drawing at random.</details>
# <details><summary>No: a picture may come twice within eight steps, across two epochs</summary>✓ There its columns add up. And
# shuffling is not the sampling that the accountant was told of (lesson 07).</details>
# <details><summary>No: noise that is taken back never keeps a promise on shuffled data</summary>✗ It can, if every epoch keeps
# the same order, or if the proof allows for turns that meet. Each needs another σ.</details>
#
# **3. You fine-tune a full matrix of 4,096 × 4,096 on texts of 100 tokens. Which way do you get the lengths to clip by?**
# <details><summary><code>ghost</code>: two tables of 100 × 100 are far smaller than the gradient</summary>✓ 20,000 numbers instead of
# 17 million for each example. It takes a second backward pass.</details>
# <details><summary><code>hooks</code>: one multiplication for each example is the cheapest</summary>✗ In time perhaps. But a
# batch of 64 would leave a thousand million numbers behind, in one layer.</details>
# <details><summary>It makes no difference, as both give the same lengths</summary>✗ The same lengths, yes. Not the same memory.</details>
#
# ## What you can do now
#
# - Take noise back, and say which sampling and which accounts make that sound.
# - Compute the length of a gradient without making it.
# - Read a benchmark of private steps, and say why it came out so.
#
# Go back to [lesson 07](07_private_fine_tuning.ipynb), or on to [lesson 08](08_auditing_privacy.ipynb), which attacks a
# trained model to test the promise.
#
# ## What this does not protect
#
# - **It promises what DP-SGD promises, to neighbours that leave a hole**: one example, the weights, a secret seed. Tuning counts as before.
# - **Other neighbours.** lorakit deals by the place in the list. Take a picture out and close the gap, and all later ones change parts:
#   for such neighbours nothing is proved. Leave its place empty, or let each picture draw its part with a coin of its own.
# - **The times are of these machines and versions.** Ratios of time travel better than seconds, but they, too, change.
#
# ## ★ Open task: better weights
#
# The weights $c$ here are one choice among many. Find others, for 80 steps and $b = 8$, with less noise in the weights (the root of its
# mean square over the steps, in the drawing above), and keep $\lVert c \rVert = 1$. Equal weights, $1 / \sqrt 8$ each,
# are a start that gains nothing: do you see why? Then ask whether it matters.
#
# | your report | points |
# | --- | --- |
# | says what is minimised (the mean over steps, or the last step?), and why that one | 2 |
# | finds weights by a search or by calculus, and shows them beside the old ones | 3 |
# | shows that the columns are still no longer than 1, so that σ stays | 2 |
# | draws thirty walks of each kind | 1 |
# | trains five seeds of each, pair by pair, and says honestly whether it shows | 2 |

# ---
# jupyter:
#   lorakit:
#     title: Private steps, further
#     learn:
#     - correlate the noise of private steps, and prove in five lines that the promise holds
#     - say what that asks of the sampling, and catch a training that forgot it
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
# Each private step adds noise to the weights, and there it stays. After 80 steps a weight carries the sum of 80 of them: a
# walk that strays (grey). **What if each step took back a part of the noise of the steps before (blue)? And how can that
# keep the same $\varepsilon$?**

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
from lorakit.privacy.banded import band_weights, running_noise
from lorakit.runtime import device_name, seed_everything

warnings.filterwarnings("ignore", "Full backward hook")
results, smoke = root / "figures" / "results", preset == "smoke"
BLUE, GREY, ORANGE = OTHER_COLOURS[0], "#777777", OTHER_COLOURS[1]

# %% tags=["folded"]
# @title Drawing: the noise in one weight
steps, b, rate = 80, 8, 0.0512  # of the runs of lesson 07; b steps are tied together
kinds = {1: ("DP-SGD", GREY), b: (f"taken back over {b} steps", BLUE)}


def multiplier(epsilon, bands):
    """Sigma, for the recipe of those runs."""
    return Privacy(epsilon, 1e-5, bands=bands if bands > 1 else None).sigma(rate, steps)


def tied(bands):
    """The matrix A of the text, (steps, steps): row t holds the weights of noise t, t - 1, ..."""
    return toeplitz(np.r_[band_weights(bands), np.zeros(steps - bands)], np.zeros(steps))


with style():
    figure, ax = plt.subplots(figsize=(8.2, 4.2))
    for bands, (label, colour) in kinds.items():
        size, x = multiplier(8.0, bands), np.arange(1, steps + 1)
        fresh = size * np.random.default_rng(0).standard_normal((steps, 30))
        ax.plot(
            x, np.linalg.solve(tied(bands), fresh).cumsum(axis=0), color=colour, alpha=0.25, lw=0.7
        )
        spread = size * running_noise(bands, steps)
        ax.plot(x, spread, color=colour, lw=2.5, label=label)
        ax.plot(x, -spread, color=colour, lw=2.5)
    ax.set(xlabel="step", ylabel="sum of the noise so far, in units of C")
    ax.legend(loc="lower left")
    suptitle(figure, "ε = 8 for both: thirty walks, and their spread")

# %% [markdown]
# The blue walks stay closer to zero, from the tenth step or so. This lesson shows why that is allowed, what it costs, and
# whether a model gains by it. Its second half asks for another price: the time and the memory of a private step, and
# why LoRA hardly pays it.
#
# ## Predict: is it worth its price?
#
# Nothing is free. If you take noise back over $b$ steps, one picture must not come twice within them, or its traces add up. So
# deal the data into $b$ parts, and let step $t$ draw from part $t \bmod b$ alone, at $b$ times the rate. Each picture comes as
# often as before, but an onlooker knows better when. **Sampling hides less, and $\sigma$ must be larger**: each single step
# gets two to four times the noise, only the sum of them less. **Predict**: does it pay more for a strict promise
# ($\varepsilon = 0.5$) or for a loose one (8)?

# %% tags=["folded"]
# @title Drawing: what is left of the noise
ties = (1, 2, 4, 8) if smoke else (1, 2, 3, 4, 6, 8, 12, 16)
with style():
    figure, ax = plt.subplots(figsize=(7.4, 4))
    for e, colour in zip((0.5, 2.0, 8.0), ("#D55E00", "#CC79A7", "#009E73")):
        sizes = [multiplier(e, n) * (running_noise(n, steps) ** 2).mean() ** 0.5 for n in ties]
        left = [size / sizes[0] for size in sizes]
        ax.plot(ties, left, "o-", color=colour)
        ax.text(1.06 * ties[-1], left[-1], f"ε = {e:g}", color=colour, va="center")
    ax.axhline(1, color=GREY, lw=1)
    ax.text(1.06 * ties[-1], 1, "DP-SGD", color=GREY, va="center")
    ax.set_xscale("log", base=2)
    ax.set_xticks(marked := [n for n in ties if n in (1, 2, 4, 8, 16)], marked)
    ax.set(xlabel="steps tied together, b", ylabel="noise in the weights, DP-SGD = 1")
    ax.set_xlim(0.95, 1.5 * ties[-1])
    suptitle(figure, "Taking noise back pays where there is little of it")

# %% [markdown]
# The loose promise gains. Where the promise is strict, sampling did most of the hiding, and to give some of it away costs more than
# the noise taken back is worth.
#
# ## Why it is allowed
#
# The proof is short. Let $g$ be the sums of clipped gradients, a row for each step, $z$ fresh noise, and $A$ a matrix that
# has $b$ diagonals of weights $c_0, c_1, \dots$, and columns of length 1 at most.
# What is released is $g + A^{-1} z = A^{-1}(A g + z)$. So it is enough to protect $A g + z$. The gradient of a picture, of
# length $C$ at most, stands in one row of $g$ at each of its turns, so there it moves one column of $A$; columns of its
# different turns do not meet. ($A$ is lower triangular, so it does no harm that each $g$ depends on what was released
# before.) That is DP-SGD with rate $b q$ and $T / b$ steps, rounded up
# (Choquette-Choo et al. 2023, [arXiv 2306.08153](https://arxiv.org/abs/2306.08153), "banded matrix factorisation"; the
# weights after Kalinin and Lampert 2024, [arXiv 2405.13763](https://arxiv.org/abs/2405.13763)).
#
# Here are those columns, for the first 24 steps. One picture, dealt to part 2, has turns at the marked steps only:

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
        rows_met = (seen[:, mine] > 0).sum(axis=1)
        for row in np.flatnonzero(rows_met > 1):
            ax.axhspan(row - 0.5, row + 0.5, color=ORANGE, alpha=0.25, lw=0)
        ax.set(xlabel="step of the fresh noise", ylabel="row of A", title=title)
        ax.title.set_fontsize(11)
        ax.grid(False)

# %% [markdown]
# Left: every orange box is one turn of the picture, each in rows of its own. Right: the same picture, had it been drawn from all
# the data at every step. Where rows are shaded, two of its turns move one number, and the proof says nothing any more.
#
# It holds for neighbours that leave a hole: where a picture is missing, all others keep their
# part. A test of lorakit plays a small worst case (one number, 6 or 7 steps) 400,000 times, and finds the accountant's
# $\delta$, or a little less. In a recipe it is one argument: `Privacy(epsilon, delta, bands=8)`.

# %% [markdown] tags=["hints"] exercise="A2.back"
# ### Exercise 1: take it back
#
# Write `take_back(z, c)`. It gets the fresh noise of $T$ steps, `z` of shape `(T, d)`, and the weights `c` of shape
# `(b,)`. It returns the noise `n` to add, `(T, d)`, for which
#
# $$c_0 n_t + c_1 n_{t-1} + \dots + c_{b-1} n_{t-b+1} = z_t$$
#
# at each step; before the first step there is none.
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
# `lora+patch` with $b = 8$, five seeds, each against DP-SGD with the
# same seed and recipe (`python -m lorakit.experiments.claim banded`). Only learning rates were searched for each, at
# $\varepsilon = 2$; with noise that is taken back the search ended at four times as large ones for head and LoRA.
# **Predict** the sign at each $\varepsilon$ from the second drawing.

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
# The means have the signs of the drawing, though AdamW, which divides by the size of each step, makes it a guide and no
# forecast. Only at $\varepsilon = 8$ the interval excludes zero, just, but it is one of three, and DP-SGD with a larger rate
# was not tried there; at 0.5 and 2, five seeds do not decide. So do not expect much **here**: sampling is worth most where
# $\sigma$ is large, as with a strict promise or many epochs of large batches. The same four epochs in batches of 32 would,
# by this calculation, leave a third less noise even at $\varepsilon = 2$. And where nobody can draw at random (phones that
# come when they like), taking noise back is nearly all one can do: there it came into training (Kairouz et al. 2021,
# [arXiv 2103.00039](https://arxiv.org/abs/2103.00039)).
#
# ## Find the silent bug
#
# Somebody has a private training that works, and puts this noise into its optimiser. The accountant gets what it asks for:
# the bands, the rate, the steps. The data loader stays as it was.

# %%
sigma = multiplier(8.0, b)  # for epsilon = 8, with the bands
rng = np.random.default_rng(0)
drawn = rng.random((steps, 10_000)) < rate  # (steps, pictures): the loader draws from all of them
print(
    f"epsilon 8 by the accountant, sigma {sigma:.2f}, {drawn.sum(axis=0).mean():.1f} turns a picture"
)

# %% [markdown]
# No error, the right $\sigma$, the usual number of turns for each picture. What is wrong?
#
# <details><summary>What went wrong</summary>
#
# The accountant believed that no picture comes twice within eight steps. This loader does not know of it. Below we count
# the pictures that do, and how far a picture moves what is released, against what the accountant believed for as many
# turns. A larger move is as if $\sigma$ were that much smaller.
#
# </details>

# %%
gaps = [np.diff(np.flatnonzero(picture)).min(initial=steps) for picture in drawn.T]
moved = np.linalg.norm(tied(b) @ drawn, axis=0) / np.sqrt(np.maximum(1, drawn.sum(axis=0)))
print(f"pictures that come twice within {b} steps: {np.mean(np.array(gaps) < b):.0%}")
print(
    f"moved as far as believed, times: {np.median(moved):.2f} in the middle, {moved.max():.2f} at most"
)

# %% [markdown]
# Most pictures break the assumption, so the $\varepsilon$ is false for most of them, and nobody is told. In lorakit the sampling
# follows from `bands`, so that the two cannot come apart.
#
# ## What a private step costs
#
# Now to the other price. DP-SGD clips the gradient of **each** picture, so it needs them one by one. A plain step only needs their sum. Take one linear layer of ViT-B/16, 768 numbers in and 768 out, and one picture of
# 197 tokens. What does each way leave in memory, for one picture?

# %% tags=["folded"]
# @title Drawing: what one picture leaves behind in one layer, to scale
T, d, r = 197, 768, 4
shapes = {
    "full: the gradient of W": [(d, d)],
    "ghost: two tables of\nproducts of tokens": [(T, T), (T, T)],
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
    ax.set(xlim=(0, x), ylim=(-d - 10, 260), aspect="equal", xticks=[], yticks=[], frame_on=False)

# %% [markdown]
# That is the whole reason why LoRA and DP get on so well: **its gradients are thin before anybody does anything about it**. Opacus' usual
# way (`hooks`) has a formula for each kind of layer. For a linear one with inputs $a$ (tokens × in) and gradients $g$ of its outputs
# (tokens × out), the gradient of one picture is $g^\top a$: one multiplication.
#
# If all you want is its **length**, to clip, there is a way around the large matrix. The middle box shows it, and you write it.

# %% [markdown] tags=["hints"] exercise="A2.ghost"
# ### Exercise 2: the length of a gradient that was never made
#
# Write `ghost_norms(a, g)` for a linear layer without bias. It gets the inputs `a` of $n$ pictures, `(n, T, d_in)`, and the gradients `g` of the layer's
# outputs, `(n, T, d_out)`. It returns the length of each picture's gradient $g^\top a$, `(n,)`, and never makes a tensor of
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
# Goodfellow (2015, arXiv 1510.01799) had it for one token, Li et al. (2021, arXiv 2110.05679) for many. It pays while $2 T^2$ is less than
# $d_{in} d_{out}$. Look at the drawing again: for a full matrix it is, for LoRA it is not.
#
# </details>

# %% [markdown]
# **Predict** from the drawing: a private step over a plain one, in time and in memory, for `full` and for `lora+patch`, and once more with `ghost`.

# %% tags=["folded"]
# @title Drawing: a private step over a plain one, as measured
cpu = pd.read_csv(results / "benchmark.csv")
cpu = cpu.rename(columns={"seconds_ratio": "time", "peak_memory_mb_ratio": "memory"})
gpu = pd.read_csv(results / "gpu.csv").query("part == 'step'")
gpu = gpu.rename(columns={"ratio": "time", "memory_ratio": "memory"})
large = "vit_base_patch16_224"
places = {
    "CPU, vit_micro": cpu[cpu["backbone"] == "vit_micro"],
    "CPU, ViT-B/16": cpu[cpu["backbone"] == large],
    "H100, ViT-B/16,\nfloat32": gpu[(gpu["backbone"] == large) & (gpu["precision"] == "float32")],
    "H100, ViT-B/16,\nbfloat16": gpu[(gpu["backbone"] == large) & (gpu["precision"] == "bf16")],
}
with style():
    figure, axes = plt.subplots(1, 2, figsize=(9.6, 3.9), sharey=True)
    for y, table in enumerate(places.values()):
        for method, shift in (("full", -0.14), ("lora+patch", 0.14)):
            look = {"color": METHOD_COLOURS[method], "markersize": 9, "linestyle": ""}
            for mode, fill in (("hooks", "full"), ("ghost", "none")):
                found = table[(table["method"] == method) & (table["mode"] == mode)]
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
    suptitle(figure, "A private step is cheap where the gradients are thin")

# %% [markdown]
# Filled marks are `hooks`, which lorakit uses. On the CPU a private step of `lora+patch` costs about a third more than a plain one on the small model and a
# few per cent on the large one; `full` takes about three times as long, and on the larger model twice the memory. `ghost`
# (hollow) saves the gradients but runs a second backward pass, and LoRA's gradients were small to begin with: there it
# only costs time. For `full` on the GPU it saves three quarters of the memory.
#
# The faster the arithmetic, the more the rest shows. On the GPU, `lora+patch` costs a tenth more in full precision, a third more or so in bfloat16
# (such short steps vary: between 1.3 and 1.7 times in the middle half of the rounds). `full` in bfloat16 takes more than three
# times as long and four times the memory: a gradient of 86 million numbers, four bytes each, for each of 64 pictures is
# 20.5 GB.
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
# One parameter of 17 × 128 numbers, and every step pays for it. That is why `fit` refuses it under privacy, and says what to take instead.
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
# <details><summary>No: noise that is taken back never keeps a promise on shuffled data</summary>✗ It can: there are proofs for
# fixed orders, without any help from sampling. But they come with another σ.</details>
#
# **3. You fine-tune a full matrix of 4,096 × 4,096 on texts of 100 tokens. What do you clip by?**
# <details><summary><code>ghost</code>: two tables of 100 × 100 are far smaller than the gradient</summary>✓ 20,000 numbers instead of
# 17 million for each example. It takes a second backward pass.</details>
# <details><summary><code>hooks</code>: one multiplication for each example is the cheapest</summary>✗ In time perhaps. But a
# batch of 64 would leave a thousand million numbers behind, in one layer.</details>
# <details><summary>It makes no difference, as both give the same lengths</summary>✗ The same lengths, yes. Not the same memory.</details>
#
# ## What you can do now
#
# - Take noise back, and say which sampling makes that sound.
# - Compute the length of a gradient without making it.
# - Read a benchmark of private steps, and say why it came out so.
#
# Go back to [lesson 07](07_private_fine_tuning.ipynb), or on to [lesson 08](08_auditing_privacy.ipynb), which attacks a
# trained model to test the promise.
#
# ## What this does not protect
#
# - **It promises what DP-SGD promises, no more**: one example, the weights, a secret seed. Tuning counts as before.
# - **Who left a hole.** The promise with bands compares data sets where all others keep their part. If a missing picture makes you deal all
#   data anew, it says nothing.
# - **The times are of these machines and versions.** Ratios travel better than seconds, but they, too, change.
#
# ## ★ Open task: better weights
#
# The weights $c$ here are one choice among many. Find others, for 80 steps and $b = 8$, with less noise in the weights, and keep $\lVert c
# \rVert = 1$. Then ask whether it matters.
#
# | your report | points |
# | --- | --- |
# | says what is minimised (the mean over steps, or the last step?), and why that one | 2 |
# | finds weights by a search or by calculus, and shows them beside the old ones | 3 |
# | shows that the columns are still no longer than 1, so that σ stays | 2 |
# | draws thirty walks of each kind | 1 |
# | trains five seeds of each, pair by pair, and says honestly whether it shows | 2 |

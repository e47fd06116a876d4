# ---
# jupyter:
#   lorakit:
#     title: Differential privacy from scratch
#     learn:
#     - tell two worlds apart, and say what an (epsilon, delta) promise leaves to an attacker
#     - derive the noise that hides one example from its sensitivity
#     - write DP-SGD by hand (Poisson batch, clip, noise) and show that it equals Opacus
#     - account for many steps, and say why delta must be far below one over the number of examples
#     - recognise training whose batches or delta do not fit the epsilon it claims
#     needs: PyTorch basics, and LoRA (lesson 01). A little probability (normal distribution) helps.
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
# Two worlds that differ in one picture: **yours**. From each, the same number is published: how many coats are in
# the data, plus noise. You are shown the number at the dotted line. **Which world did it come from?**

# %% tags=["parameters"]
preset = "quick"  # smoke: seconds, for tests; quick: what the outputs show

# %% tags=["context"]
import copy
import math

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F
from exercises import check
from scipy.stats import norm
from torch.func import functional_call, grad, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel

from lorakit import Privacy, apply_method, create_backbone, load, normalise
from lorakit.experiments.probe import features as features_of
from lorakit.explore import privacy_chart
from lorakit.figures.style import OTHER_COLOURS, style, suptitle
from lorakit.privacy.accountant import compute_epsilon, default_delta, find_noise_multiplier
from lorakit.privacy.curves import mistake_delta_from_batches, mistake_shuffled_as_poisson
from lorakit.privacy.dpsgd import clip, dp_sgd_step, noisy_sum, per_example_gradients
from lorakit.privacy.meaning import what_it_means
from lorakit.training.criterion import Criterion
from lorakit.training.private_step import PrivateStep
from lorakit.training.recipe import Recipe

BLUE, ORANGE, GREEN, PINK = OTHER_COLOURS[:4]
GREY = "#777777"
smoke = preset == "smoke"
sizes = (
    {"train": 200, "val": 50, "test": 50} if smoke else {"train": 2000, "val": 500, "test": 1000}
)
data = load("fashion", **sizes)
images, labels = normalise(data.train.images), data.train.labels  # (N, 3, 32, 32), (N,)
N = len(labels)
delta = default_delta(N)  # the largest power of ten below 1 / N

# %% tags=["folded"]
# @title Drawing: the world with you, and the world without
coats = int((labels == data.classes.index("coat")).sum())
yours = int((labels == data.classes.index("coat")).nonzero()[0])
others = [i for i in range(24) if i != yours][:17]
published, sigma_count = coats + 0.4, 1.0
x = np.linspace(coats - 5, coats + 4, 500)


def world(pictures, bell, there, colour):
    """One row: a few of the pictures, and what may be published."""
    mosaic = torch.ones(3 * 33, 6 * 33)
    for place, i in enumerate([yours, *others]):
        row, column = divmod(place, 6)
        if place or there:
            mosaic[33 * row : 33 * row + 32, 33 * column : 33 * column + 32] = (
                data.train.images[i, 0] / 255
            )
    pictures.imshow(mosaic, cmap="gray", vmin=0, vmax=1)
    pictures.add_patch(plt.Rectangle((-0.5, -0.5), 32, 32, fill=False, color=colour, linewidth=3))
    pictures.set(xticks=[], yticks=[])
    pictures.set_title("your coat is in" if there else "your coat is not in", color=colour)
    centre = coats if there else coats - 1
    bell.fill_between(x, norm.pdf(x, centre, sigma_count), color=colour, alpha=0.3)
    bell.plot(x, norm.pdf(x, centre, sigma_count), color=colour, linewidth=2)
    bell.axvline(published, color="black", linestyle=":")
    height = norm.pdf(published, centre, sigma_count)
    bell.plot(published, height, "o", color=colour, markersize=9)
    bell.annotate(f"{height:.2f}", (published, height), (9, 3), textcoords="offset points")
    bell.set(ylim=(0, 0.48), yticks=[], xlim=(x[0], x[-1]))


with style():
    figure, axes = plt.subplots(2, 2, figsize=(8.6, 4.4), width_ratios=(1, 1.5))
    world(*axes[0], True, BLUE)
    world(*axes[1], False, ORANGE)
    axes[0, 1].set_title("what is published: the count of coats, plus noise", fontsize=11)
    axes[1, 1].set_xlabel("published number")
    suptitle(figure, "Two worlds, one picture apart. Which one are you in?")

# %% [markdown]
# You cannot be sure. At the dotted line the upper curve is higher, so "your coat is in" is the better guess. By how
# much? $0.37 / 0.15$ is about 2.5. The number you saw is two and a half times as likely if your coat is in. That
# **ratio** is all that the published number tells about you. (2.5 is about $e^{0.9}$. Such an exponent is what
# $\varepsilon$, epsilon, will bound.)
#
# **Differential privacy** (DP) is the promise that the ratio stays small, whatever else somebody knows and
# whatever they try.
#
# This lesson builds the promise from one noisy count up to LoRA. Every ingredient is a few lines. The hard
# part is to know which line the promise hangs on.
#
# ## The promise
#
# Two data sets are **neighbours**, $D \sim D'$, if one is the other with one example added or removed. A randomised
# algorithm $M$, here a whole training run, is $(\varepsilon, \delta)$**-differentially private** if for all neighbours
# and every set $S$ of outputs
#
# $$P[M(D) \in S] \;\le\; e^{\varepsilon}\, P[M(D') \in S] + \delta$$
#
# (Dwork and Roth 2014, definition 2.4). The probability is over the algorithm's own coins, not over the
# data. The promise holds for the worst pair of neighbours, and against somebody who knows every other example.
#
# With $\delta = 0$ it says: whatever is published multiplies the **odds** that your example was in by at most
# $e^{\varepsilon}$. That is about 2.7 for $\varepsilon = 1$, 7 for $\varepsilon = 2$, 3,000 for $\varepsilon = 8$.
#
# And two things in small print. Settings that we compute from $N$, such as $\delta$ and the sample rate below, count as
# public and are the same for both neighbours. And this is the **add/remove** promise. Some papers *replace* one example
# by another. That counts twice in every sum, so an $\varepsilon$ of the one kind does not compare with an $\varepsilon$
# of the other.
#
# ## Noise for one number
#
# Published exactly, the count of coats gives you away to somebody who knows all the others. So add noise. How
# much is decided by the **sensitivity** $\Delta$: the most that the answer can change between neighbours (in
# Euclidean norm, if it is a vector). For a count $\Delta = 1$. For a sum of vectors of norm at most $C$, $\Delta =
# C$. For their mean over a public, fixed $N$ it is $C / N$.
#
# The **Gaussian mechanism** answers $f(D) + \mathcal N(0, \sigma^2 \Delta^2 I)$, where $\sigma$ is the
# **noise multiplier**. An attacker compares two bell curves, $\Delta$ apart. **Predict**: with $\sigma = 1$, is
# there an $\varepsilon$ such that the blue curve is nowhere higher than $e^{\varepsilon}$ times the orange one?

# %%
epsilon_count = 1.0
with_it, without = norm.pdf(x, coats, sigma_count), norm.pdf(x, coats - 1, sigma_count)
times = math.exp(epsilon_count) * without
excess = np.maximum(with_it - times, 0)
area = np.trapezoid(excess, x)
with style():
    figure, ax = plt.subplots(figsize=(7.8, 3.6))
    ax.plot(x, with_it, color=BLUE, linewidth=2, label="your coat is in")
    ax.plot(x, without, color=ORANGE, linewidth=2, label="it is not")
    ax.plot(x, times, "--", color=ORANGE, label="it is not, times e")
    ax.fill_between(x, with_it - excess, with_it, color=BLUE, alpha=0.3, label=f"δ = {area:.3f}")
    ax.set(xlabel="published count of coats", ylabel="density", ylim=(0, 0.55))
    ax.set_title("What ε = 1 does not cover is δ")
    figure.legend(loc="outside right center")

# %% [markdown]
# There is none: far to the right the ratio grows without end, however rarely one gets there. The shaded part is
# where the blue curve rises above $e^{\varepsilon}$ times the orange one, here with $\varepsilon = 1$. Its area *is*
# $\delta$: the mass that a bound of the form $e^\varepsilon$ misses. For other mechanisms the same
# $\delta$ can mean that somebody is published in full (see the delta trap below).
#
# The smallest $\delta$ for each $\varepsilon$ is known exactly (Balle and Wang 2018, arXiv 1805.06530), with $\Phi$
# the standard normal distribution function. lorakit's accountant should agree, and err upwards if at all.
#
# $$\delta(\varepsilon) = \Phi\!\left(\tfrac{1}{2\sigma} - \varepsilon\sigma\right)
# - e^{\varepsilon}\,\Phi\!\left(-\tfrac{1}{2\sigma} - \varepsilon\sigma\right)$$


# %%
def gaussian_delta(epsilon, sigma):
    """The smallest delta at which the Gaussian mechanism is (epsilon, delta)-DP."""
    a, b = 1 / (2 * sigma), epsilon * sigma
    return norm.cdf(a - b) - np.exp(epsilon) * norm.cdf(-a - b)


print(f"shaded area {area:.4f}, formula {gaussian_delta(epsilon_count, sigma_count):.4f}")
for s in (1.0, 2.0, 4.0):
    e = compute_epsilon(s, 1.0, 1, delta)  # one release, everyone takes part
    exact = gaussian_delta(e, s)
    print(f"sigma {s}: epsilon {e:.3f} at delta {delta:g}; by the formula delta = {exact:.3g}")
    assert 0.8 * delta < exact <= delta

# %% [markdown]
# ## Clip: bound what one example can do
#
# In effect, training publishes gradients, one step after the other. What is their sensitivity? Without
# further care there is no useful bound: one odd picture may have a far larger gradient than the rest. And in the mean
# gradient of a batch nobody can find the part of one picture, to shorten it. So we need the gradient $g_i$ of **each
# example's own loss**. (This is also why batch normalisation and DP do not mix: with it, no example has a loss of its
# own. ViTs use layer normalisation.)
#
# Start with the head alone (`probe`). Two heads: a new one, and one trained on the validation images, which
# for now we declare public.

# %%
torch.manual_seed(0)
probe = apply_method(create_backbone("vit_micro"), "probe").eval()
features = F.pad(features_of(probe, data.train.images), (0, 1), value=1.0)  # (N, 129), 1: the bias
trained = copy.deepcopy(probe)
optimizer = torch.optim.Adam(trained.head.parameters(), lr=3e-2)
for _ in range(5 if smoke else 30):
    F.cross_entropy(trained(normalise(data.val.images)), data.val.labels).backward()
    optimizer.step()
    optimizer.zero_grad()

# %% [markdown]
# `backward` hands out one gradient for the whole batch. Two functions of `torch.func` keep the pictures apart: `grad`
# of the loss of *one* picture, and `vmap` over the batch. That is all that lorakit's `per_example_gradients` does.


# %%
def loss_of_one(weights, image, label):
    """The loss of one picture, (3, 32, 32), with these weights in place of the head's own."""
    logits = functional_call(probe, weights, image[None])  # (1, 10)
    return F.cross_entropy(logits, label[None])


some = slice(0, 200)
weights = {name: p.detach() for name, p in probe.named_parameters() if p.requires_grad}
each = vmap(grad(loss_of_one), in_dims=(None, 0, 0))  # the same weights for all pictures
with sdpa_kernel(SDPBackend.MATH):  # the form of attention that vmap knows
    own = each(weights, images[some], labels[some])
theirs = per_example_gradients(probe, images[some], labels[some])
for name, g in own.items():
    torch.testing.assert_close(g, theirs[name])
    print(f"{name}: a weight of {tuple(weights[name].shape)}, gradients {tuple(g.shape)}")

# %% [markdown]
# One gradient for each of the 200 pictures, and the same numbers as lorakit's. How long are they?

# %%
C = 1.0  # max_grad_norm


def norms(gradients):
    """Euclidean norm of each example's whole gradient, all parameters together: (n,)."""
    return torch.cat([g.flatten(1) for g in gradients.values()], dim=1).norm(dim=1)


raw = {name: per_example_gradients(model, images[some], labels[some])
       for name, model in (("new head", probe), ("trained head", trained))}  # fmt: skip

# %% tags=["folded"]
# @title Drawing: how long the gradients are
bins = np.geomspace(1.05e-3, 105, 31)
with style():
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.4), sharey=True)
    for ax, (name, gradients) in zip(axes, raw.items()):
        both = {"before": (gradients, ORANGE), "clipped": (clip(gradients, C), BLUE)}
        for label, (shown, colour) in both.items():
            ax.hist(norms(shown).clamp(min=1.1e-3), bins, color=colour, alpha=0.7, label=label)
        ax.axvline(C, color="#555555", linestyle=":")
        above = (norms(gradients) > C).float().mean().item()
        ax.set(
            xscale="log", title=f"{name}: {above:.0%} clipped", xlabel="norm (first bar: or less)"
        )
    axes[0].set_ylabel("examples")
    axes[0].legend(loc="upper left")

# %% [markdown]
# **Clipping** replaces $g_i$ by $g_i \min(1, C / \lVert g_i \rVert)$. With a new head all gradients are
# long, so all come out with norm $C$, and only their directions count. Later, many pictures are learned. Their
# gradients are short, and clipping leaves them alone. The long ones belong to pictures that the head is unsure of or
# gets wrong, and clipping mutes them. That costs accuracy, and most of all on rare kinds of pictures (Bagdasaryan,
# Poursaeed and Shmatikov 2019, arXiv 1905.12101). In exchange, nobody moves the sum by more than $C$.

# %% [markdown] tags=["hints"] exercise="06.clip"
# ### Exercise 1: clip
#
# Write `clip_each(gradients, C)`. `gradients` is a dict from parameter name to the per-example gradients of
# that parameter, $(n, \ldots)$. Scale each example's **whole** gradient, over all parameters together, to
# norm at most $C$, and return a dict of the same shapes.
#
# <details><summary>Hint 1</summary>
#
# There are $n$ norms. Each is the root of a sum of squares, over all entries of all parameters.
#
# </details>
# <details><summary>Hint 2</summary>
#
# The factor of an example is never above 1: `(C / norms).clamp(max=1)`.
#
# </details>
# <details><summary>Hint 3</summary>
#
# `torch.einsum("i,i...->i...", factors, g)` multiplies the $i$-th slice of `g` by the $i$-th factor.
#
# </details>


# %% tags=["exercise"] exercise="06.clip"
def clip_each(gradients, C):
    """dict of (n, ...) to a dict of the same, every example's norm at most C."""
    ...  # your code


check("06.clip", clip_each)

# %% [markdown] tags=["solution"] exercise="06.clip"
# <details><summary>Solution</summary>
#
# ```python
# def clip_each(gradients, C):
#     squares = sum(g.flatten(1).square().sum(dim=1) for g in gradients.values())  # (n,)
#     factors = (C / squares.sqrt()).clamp(max=1)  # (n,)
#     return {name: torch.einsum("i,i...->i...", factors, g) for name, g in gradients.items()}
# ```
#
# One factor for each example, shared by all parameters. A zero gradient gives $C / 0 = \infty$, clamped to
# 1.
#
# </details>

# %% [markdown]
# ## Noise: hide the rest
#
# The sum of the clipped gradients has sensitivity $C$, so it gets noise of standard deviation $\sigma C$ in
# every coordinate. Then we divide by a **fixed** number, the expected batch size $L$:
#
# $$\tilde g = \frac{1}{L}\Big(\sum_{i \in B} g_i \min\big(1, \tfrac{C}{\lVert g_i \rVert}\big)
# + \sigma C\, z\Big), \qquad z \sim \mathcal N(0, I)$$
#
# (Abadi et al. 2016, arXiv 1607.00133, algorithm 1; $B$ the batch). What happens after the noise is free:
# dividing by $L$, Adam's moments, publishing the weights. **Post-processing**, with no second look at the
# data, cannot weaken the promise. The number of examples actually drawn *is* a second look; $L$ is not.

# %% [markdown] tags=["hints"] exercise="06.noise"
# ### Exercise 2: noise
#
# Write `noisy_mean(clipped, sigma, C, L)`. `clipped` is $(n, d)$: the clipped gradients of the $n$ examples
# that were drawn; $n$ may differ from the expected $L$, and may be 0. Return $\tilde g$, shape $(d,)$.
#
# <details><summary>Hint 1</summary>
#
# Sum over examples first. Then one noise vector for the whole sum, not one for each example.
#
# </details>
# <details><summary>Hint 2</summary>
#
# `torch.randn_like(total)` has standard deviation 1 in every coordinate. Which one does $\sigma C z$ want?
#
# </details>


# %% tags=["exercise"] exercise="06.noise"
def noisy_mean(clipped, sigma, C, L):
    """clipped (n, d) to the private mean gradient (d,)."""
    ...  # your code


check("06.noise", noisy_mean)

# %% [markdown] tags=["solution"] exercise="06.noise"
# <details><summary>Solution</summary>
#
# ```python
# def noisy_mean(clipped, sigma, C, L):
#     total = clipped.sum(dim=0)  # (d,)
#     return (total + sigma * C * torch.randn_like(total)) / L
# ```
#
# An empty batch gives a sum of zeros, which is noised and counted like any other.
#
# </details>

# %% [markdown]
# ## Sub-sampling: hide in the crowd
#
# A step looks at a random batch. If nobody knows who is in it, that uncertainty is privacy we need not pay
# for with noise: **amplification by sub-sampling**. The proof that accountants use wants one particular way
# to draw. For each example toss a coin of its own, "in" with probability $q = L / N$, independently of all
# others and anew at each step. That is **Poisson sampling**. For small $q$ and $\varepsilon$ one step then costs about
# $q$ times as much (Balle, Barthe and Gaboardi 2018, arXiv 1807.01647). Below, $\varepsilon$ is not small: with a tenth
# of the crowd a step costs more than a tenth.

# %%
for rate in (1.0, 0.1, 0.01):
    print(
        f"sigma = 1, q = {rate:<4g}: one step costs epsilon {compute_epsilon(1.0, rate, 1, delta):.3f}"
    )

# %% [markdown] tags=["hints"] exercise="06.poisson"
# ### Exercise 3: a Poisson batch
#
# Write `poisson_batch(N, q)`: the indices (a one-dimensional integer tensor) of the examples drawn. Every
# example decides for itself, with probability $q$.
#
# <details><summary>Hint 1</summary>
#
# The size of the batch is not yours to choose. It is what the coins say.
#
# </details>
# <details><summary>Hint 2</summary>
#
# `torch.rand(N)` gives everyone a number between 0 and 1. It is below $q$ with probability $q$. Which ones
# are?
#
# </details>


# %% tags=["exercise"] exercise="06.poisson"
def poisson_batch(N, q):
    """The indices drawn, int64 (n,), n random."""
    ...  # your code


check("06.poisson", poisson_batch)

# %% [markdown] tags=["solution"] exercise="06.poisson"
# <details><summary>Solution</summary>
#
# ```python
# def poisson_batch(N, q):
#     return (torch.rand(N) < q).nonzero().flatten()
# ```
#
# Batches vary in size, and one may be empty. Both are part of the proof: the algorithm must not skip an
# empty batch.
#
# </details>

# %% [markdown]
# ## Accountants: add it up
#
# Every step gives a little away. **Basic composition** adds: $T$ steps, each $(\varepsilon_1,
# \delta/T)$-DP, are $(T \varepsilon_1, \delta)$-DP. True, and wasteful: bad luck does not strike in every
# step.
#
# The **privacy loss** of an output is the logarithm of how much likelier it is in one world than in the other. (For the
# number in the first picture it was 0.9.) $\varepsilon$ bounds it, but for $\delta$. An **accountant** follows the whole
# distribution of the loss instead of one pair of numbers. You will meet three:
#
# - **PRV** adds the loss up numerically, with a bound on its own error (Gopi et al. 2021, arXiv 2106.02848).
# - **RDP** bounds the loss by its moments: a looser bound, but it holds too (Mironov 2017, arXiv 1702.07476).
# - **GDP** uses a central limit theorem, which is only an approximation: it can come out *below* the truth, and
#   guarantees nothing (Dong, Roth and Su 2019, arXiv 1905.02383; for Poisson batches Bu et al. 2019, arXiv 1911.11607).
#
# Our training: expected batch $L$, $T$ steps, $\varepsilon = 2$. Which $\sigma$?

# %%
L, T = (32, 4) if smoke else (64, 60)
q = L / N
sigma = find_noise_multiplier(2.0, q, T, delta)
spent = compute_epsilon(sigma, q, T, delta)
print(f"q = {q:.4f}, T = {T}: sigma = {sigma:.3f} spends epsilon {spent:.3f} at delta = {delta:g}")
naive = T * compute_epsilon(sigma, q, 1, delta / T)
print(f"basic composition would charge {naive:.1f} for the same training")

for name in ("prv", "rdp", "gdp"):
    print(
        f"the {name.upper()} accountant: {compute_epsilon(sigma, q, T, delta, accountant=name):.3f}"
    )

# %% [markdown]
# PRV and RDP cover every intermediate model too: somebody may watch the weights at each step.
#
# ## What epsilon leaves to an attacker
#
# Somebody holds the model, has a stack of pictures, and accuses some of having been trained on. Let them accuse
# **one innocent picture in a hundred** (a false positive rate of 1 %). How many of the true members can they
# find at most, on average, if a coin had decided who is a member?
#
# The definition alone gives a bound. Take for $S$ "all outputs at which the attacker accuses you". Then the
# rate of members found, $\mathrm{TPR}$, is at most $e^{\varepsilon}\, \mathrm{FPR} + \delta$.
#
# One pair says too little. The same training keeps a promise at $\varepsilon = 1$ with some $\delta$, at
# $\varepsilon = 2$ with a smaller one, and so on: a whole curve of promises. An attacker has to obey all of them, so the
# lowest of all bounds counts. `what_it_means` finds it.
#
# **Predict** for $\varepsilon = 2$ and for $\varepsilon = 8$: how many members of a hundred?

# %%
promises = (1, 4) if smoke else (0.5, 1, 2, 4, 8)
noises = [find_noise_multiplier(e, q, T, delta) for e in promises]
meanings = [what_it_means(s, q, T, delta) for s in noises]
pair_alone = [min(1, math.exp(e) * 0.01 + delta) for e in promises]

# %% tags=["folded"]
# @title Drawing: members found, and belief
with style():
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.8))
    lines = {
        "ε and δ alone": (pair_alone, ORANGE, "s--"),
        "the whole curve of this training": ([m.tpr_at_1 for m in meanings], BLUE, "o-"),
    }
    for label, (values, colour, look) in lines.items():
        left.plot(promises, [100 * v for v in values], look, color=colour, label=label)
    left.axhline(1, color=GREY, linestyle=":", label="blind accusations")
    left.set(ylabel="members found, at most, in %", ylim=(0, 108))
    left.set_title("One innocent in 100 accused")
    left.legend(loc="upper left", fontsize=9)
    right.plot(promises, [100 * m.posterior for m in meanings], "o-", color=BLUE)
    right.axhline(50, color=GREY, linestyle=":")
    right.annotate("before", (promises[-1], 50), (0, 4), textcoords="offset points", ha="right")
    right.set(ylabel='belief in "it was in", at most, in %', ylim=(45, 102))
    right.set_title("How sure can an attacker get?")
    for ax in (left, right):
        ax.set(xscale="log", xlabel="ε promised")
        ax.set_xticks(promises, [f"{e:g}" for e in promises])
        ax.minorticks_off()
for e, m in zip(promises, meanings):
    print(f"epsilon {e:<3g} finds at most {m.tpr_at_1:6.1%}, belief at most {m.posterior:.2%}")

# %% [markdown]
# Left, the two lines part. At $\varepsilon = 8$ the pair alone forbids almost nothing, while this training still leaves
# most members unfound.
#
# Right, think of somebody who holds "in" and "not in" for equally likely, and then sees the model. The panel says how
# sure they can become. Only with probability $\delta$, or less, do they become surer than that. (The values lie above
# $e^\varepsilon / (1 + e^\varepsilon)$, which is 73 % at $\varepsilon = 1$: that formula wants $\delta = 0$.) At
# $\varepsilon = 8$ it is close to certainty, and somebody may become 95 % sure of a few members in a hundred. That is why
# small $\varepsilon$ matter.
#
# Here is the same for other trainings, computed beforehand. **Predict**, then drag $\sigma$: how much noise does a
# training of 100 epochs need, so that an attacker who accuses one innocent in a hundred finds at most two members in a
# hundred?

# %%
privacy_chart()

# %% [markdown]
# <details><summary>How much?</summary>
#
# By the rounded numbers of the chart (10,000 pictures, batches of 256) $\sigma = 4.6$, exactly about 6. With 10 epochs 2.2 is enough.
# </details>
#
# These bound, on average, **every** attack on a picture whose membership a coin decided. (If members look different
# from strangers anyway, an attacker finds more, but does not learn it from the model: lesson 08 has such a case.) The
# attacks that we know may find far less; only the bound is proved.
#
# ## The delta trap
#
# How small must $\delta$ be? Take the algorithm "publish one example, drawn at random". The neighbours'
# output distributions are uniform over $N$ and over $N - 1$ examples:

# %%
p = np.full(N, 1 / N)  # output distribution with your example (the first)
without_you = np.concatenate([[0], np.full(N - 1, 1 / (N - 1))])
smallest = np.maximum(p - without_you, 0).sum()
print(f"smallest delta at epsilon = 0: {smallest:.6f}; 1/N = {1 / N:.6f}")

# %% [markdown]
# So it is $(0, 1/N)$-DP. Epsilon zero, the best there is, and each time somebody's picture is on the front
# page. Therefore the least one must ask is $\delta < 1/N$, with $N$ the number of **examples**, and far below is
# better. It is easy to take one over the number of *batches* by mistake, `1 / len(loader)`. For 50,000 pictures in
# batches of 500:

# %%
wrong = mistake_delta_from_batches(0.8, examples=50_000, batch_size=500, steps=1000)
print(f"claimed: epsilon {wrong['claimed_epsilon']:.2f} at delta = {wrong['claimed_delta']:g}")
print(f"honest:  epsilon {wrong['epsilon']:.2f} at delta = {wrong['delta']:g}")

# %% [markdown] tags=["hints"] exercise="06.delta"
# ### Exercise 4: how large may delta be?
#
# A bad thing that $\delta$ permits: an algorithm that, for each example on its own, publishes it with
# probability $\delta$ and otherwise nothing. It is $(0, \delta)$-DP. Write `largest_delta(N, L, risk)`: the
# largest $\delta$ for which the probability that **anybody** is published is at most `risk`. $N$ examples,
# batches of $L$.
#
# <details><summary>Hint 1</summary>
#
# What is the probability that nobody is published? One of the arguments is not needed.
#
# </details>
# <details><summary>Hint 2</summary>
#
# Solve $1 - (1 - \delta)^N = \text{risk}$ for $\delta$.
#
# </details>


# %% tags=["exercise"] exercise="06.delta"
def largest_delta(N, L, risk):
    """A float: the delta at which somebody is published with probability risk."""
    ...  # your code


check("06.delta", largest_delta)

# %% [markdown] tags=["solution"] exercise="06.delta"
# <details><summary>Solution</summary>
#
# ```python
# def largest_delta(N, L, risk):
#     return 1 - (1 - risk) ** (1 / N)
# ```
#
# At $\delta = 1/N$ the risk is $1 - (1 - 1/N)^N \approx 1 - 1/e$: more likely than not. For small risks the
# answer is about risk / $N$. (An algorithm that publishes one example or none, as above, has the risk $N \delta$, a
# little more. So to be safe from every algorithm, take risk / $N$.)
#
# </details>

# %% [markdown]
# DP-SGD's own $\delta$ is of the milder kind that we saw shaded above. But the pair of numbers alone does
# not say which kind it is, so it has to be small enough for the worst.
#
# ## DP-SGD by hand: the head
#
# For a linear head on frozen features $h_i$ the per-example gradient is one outer product, $(p_i - y_i)\,
# h_i^\top$, with $p_i$ the softmax and $y_i$ the one-hot label. First: is that what autograd says?

# %%
start = torch.cat([probe.head.weight, probe.head.bias[:, None]], dim=1).detach()  # (10, 129)


def head_gradients(W, i):
    """The gradients of examples i, (n, 10, 129)."""
    error = (features[i] @ W.T).softmax(dim=1) - F.one_hot(labels[i], 10)  # (n, 10)
    return torch.einsum("nk,nd->nkd", error, features[i])


ours, theirs = head_gradients(start, torch.arange(200)), raw["new head"]
torch.testing.assert_close(ours[:, :, :-1], theirs["head.weight"], rtol=1e-3, atol=1e-4)
torch.testing.assert_close(ours[:, :, -1], theirs["head.bias"], rtol=1e-3, atol=1e-4)
print("yes, for 200 examples")

# %% [markdown]
# Now the whole of DP-SGD. **Predict** how much accuracy the noise costs; we run it with and without.


# %%
def train_head(sigma, steps, lr=1.0, seed=0):
    """DP-SGD; the accuracy on the validation images after each step."""
    torch.manual_seed(seed)  # a lesson's seed: known noise protects nobody
    W, reached = start.clone(), []
    for _ in range(steps):
        batch = (torch.rand(N) < q).nonzero().flatten()  # Poisson
        g = head_gradients(W, batch)  # (n, 10, 129)
        factors = (C / g.flatten(1).norm(dim=1)).clamp(max=1)  # clip
        total = torch.einsum("n,nkd->kd", factors, g)
        W -= lr * (total + sigma * C * torch.randn_like(W)) / L  # noise
        reached.append(((public @ W.T).argmax(dim=1) == data.val.labels).float().mean().item())
    return reached


public = F.pad(features_of(probe, data.val.images), (0, 1), value=1.0)  # (val, 129)
runs = {s: np.array([train_head(s, T, seed=k) for k in range(3)]) for s in (0.0, sigma)}
spent_at = {n: compute_epsilon(sigma, q, n, delta) for n in sorted({1, T // 4, T // 2, T})}

# %% tags=["folded"]
# @title Drawing: what each epsilon bought
with style():
    figure, ax = plt.subplots(figsize=(8, 3.8))
    for s, colour, label in ((0.0, GREY, "clipped, no noise, no promise"), (sigma, BLUE, "DP-SGD")):
        for k, reached in enumerate(runs[s]):
            ax.plot(range(1, T + 1), 100 * reached, color=colour, label=label if k == 0 else None)
    for step, e in spent_at.items():
        ax.annotate(f"ε = {e:.2f}", (step, 3), ha="right" if step == T else "left", color=BLUE)
        ax.axvline(step, color=BLUE, linestyle=":", linewidth=1)
    ax.set(xlabel="step", ylabel="validation accuracy in %", ylim=(0, 100), xlim=(0, T + 1))
    plain, private = (100 * runs[s][:, -1].mean() for s in (0.0, sigma))
    ax.set_title(f"ε = {spent_at[T]:.1f}: {private:.0f}%, without noise {plain:.0f}% (three seeds)")
    ax.legend(loc="center right")

# %% [markdown]
# Three seeds each, as three lines. Two things are safe to say. Most of the accuracy comes with the first steps.
# And $\varepsilon$ does not start near zero: at so small a $\delta$ the first step alone has a price, and each later
# step costs far less. (The learning rate was chosen by looking at runs on these same images. In earnest, that costs
# $\varepsilon$ too.)
#
# **Change one thing.** Four times the noise: run `train_head(4 * sigma, T)[-1]` and `compute_epsilon(4 * sigma, q, T,
# delta)` in a new cell. What is $\varepsilon$ now, and what is left of the accuracy?
#
# <details><summary>What four times the noise buys</summary>
#
# $\varepsilon$ falls to a tenth, from 2.0 to 0.20. The head still names 67 % of the pictures, where with the same seed
# it had named 82 %.
#
# </details>

# %% [markdown]
# ## DP-SGD by hand: LoRA
#
# Same three lines, now for every LoRA matrix and the head, and with one norm per example over all of them.
# Before we train, we hold our step against two others with the same noise (same seed): lorakit's
# `dp_sgd_step` and Opacus, which lorakit uses for real training (`PrivateStep`).


# %%
def private_step(model, batch, *, sigma, L, lr):
    """One step of DP-SGD on the examples in ``batch``, in place."""
    gradients = per_example_gradients(model, images[batch], labels[batch])  # each (n, ...)
    factors = (C / norms(gradients)).clamp(max=1)  # (n,)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name in gradients:
                total = torch.einsum("n,n...->...", factors, gradients[name])
                parameter -= lr * (total + sigma * C * torch.randn_like(total)) / L


torch.manual_seed(0)
by_hand = apply_method(create_backbone("vit_micro"), "lora", rank=4).eval()
by_lorakit, by_opacus = copy.deepcopy(by_hand), copy.deepcopy(by_hand).train()  # for Opacus
before = {n: p.detach().clone() for n, p in by_hand.named_parameters()}
batch, common = torch.arange(9), {"lr": 0.5}
sgd = torch.optim.SGD([p for p in by_opacus.parameters() if p.requires_grad], **common)
promise = Privacy(noise_multiplier=sigma, delta=delta, max_grad_norm=C)
recipe = Recipe(batch_size=10, privacy=promise)
opacus = PrivateStep(by_opacus, sgd, recipe, N, Criterion(lambda images: images))
for seed in range(2):  # two steps: at the first one A has no gradient, because B is zero
    torch.manual_seed(seed)
    private_step(by_hand, batch, sigma=sigma, L=10, **common)
    torch.manual_seed(seed)
    dp_sgd_step(by_lorakit, images[batch], labels[batch], noise_multiplier=sigma, max_grad_norm=C,
                batch_size=10, **common)  # fmt: skip
    torch.manual_seed(seed)
    opacus.step((images[batch], labels[batch]))
opacus.close()

# %%
for name, other in (("lorakit", by_lorakit), ("Opacus", by_opacus)):
    pairs = list(zip(by_hand.named_parameters(), other.parameters()))
    apart = max((ours - theirs).abs().max().item() for (_, ours), theirs in pairs)
    print(f"largest difference to {name}: {apart:.1e}")
    for (parameter, ours), theirs in pairs:
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5, msg=parameter)
moved = max((p - before[n]).abs().max().item() for n, p in by_hand.named_parameters())
print(f"largest change in two steps:   {moved:.1e}")

# %% [markdown]
# Equal up to rounding, noise and all. (Opacus' hooks work in training mode only; this ViT has no dropout,
# so the mode changes nothing else.) So `fit` with a `Privacy` does what you just did by hand.
#
# ## Find the silent bug
#
# This code trains the head for one epoch, clipped as before, with $\sigma = 1$, and asks the accountant.

# %%
bug_sigma = 1.0
W, seen, sizes = start.clone(), torch.zeros(N), []
for batch in torch.randperm(N).split(L):
    gradients = clip({"head": head_gradients(W, batch)}, C)
    W -= noisy_sum(gradients, bug_sigma, C, L)["head"]
    seen[batch] += 1
    sizes.append(len(batch))
claimed = compute_epsilon(bug_sigma, L / N, len(sizes), delta)
print(f"epsilon = {claimed:.2f} at delta = {delta:g}")
print("batch sizes:", *sizes[:6], "…", *sizes[-2:])
print("times an example was seen: from", int(seen.min()), "to", int(seen.max()))

# %% [markdown]
# Nothing is raised, the gradients are clipped and noised, delta is below $1/N$. Yet the printed epsilon is
# wrong. Look at the last two lines. What should they look like?
#
# <details><summary>What went wrong</summary>
#
# The batches are **shuffled**, not Poisson: all of one size but the last, everyone exactly once. The
# accountant was told that everyone tosses a coin at each step. This is common practice, as loaders make
# `shuffle=True` easy (Chua et al. 2024, arXiv 2403.17673, whose argument follows).
#
# Let every other clipped gradient be $-C$ along one direction; yours is $+C$ (data set $D$), or your place
# is empty and gives 0 ($D'$; under shuffling a neighbour must leave a hole, or all batches would shift).
# The attacker knows the batch sizes and adds $C$ for every place. Now all noisy sums are centred at 0, but
# the one with your place at $2C$ in $D$ and at $C$ in $D'$. With Poisson batches nobody would know how many
# examples a sum holds, nor whether you are in any. Here the sizes are known, and your place is in one batch
# for sure. The attacker says "in" if the largest of $T$ sums exceeds $c$:
#
# $$\mathrm{TPR} = 1 - \Phi\!\left(\tfrac{c}{\sigma}\right)^{T-1}
# \Phi\!\left(\tfrac{c - 2}{\sigma}\right), \qquad
# \mathrm{FPR} = 1 - \Phi\!\left(\tfrac{c}{\sigma}\right)^{T-1} \Phi\!\left(\tfrac{c - 1}{\sigma}\right)$$
#
# ($c$ in units of $C$.) The promise demands $\mathrm{TPR} \le e^{\varepsilon}\, \mathrm{FPR} + \delta$, so
# $\varepsilon \ge \ln\frac{\mathrm{TPR} - \delta}{\mathrm{FPR}}$ for every $c$. These are exact
# probabilities: no estimate, no luck.
#
# </details>


# %%
def attack(sigma, steps, delta):
    """A lower bound on the epsilon of one epoch of shuffled batches."""
    c = np.linspace(0, 10, 5001)
    others = (steps - 1) * norm.logcdf(c / sigma)
    tpr = -np.expm1(others + norm.logcdf((c - 2) / sigma))
    fpr = -np.expm1(others + norm.logcdf((c - 1) / sigma))
    usable = (tpr > delta) & (fpr > 1e-12)  # below that, rounding errors
    return np.log((tpr[usable] - delta) / fpr[usable]).max()


# %% tags=["folded"]
# @title Drawing: the claim, the attack, the proof
sigmas = (1.0,) if smoke else (0.7, 0.8, 1.0, 1.25, 1.5, 1.75, 2.0)
table = [mistake_shuffled_as_poisson(s, N, L, epochs=1, delta=delta) for s in sigmas]
lines = {
    "proved, for any order": ([row["epsilon"] for row in table], GREEN, "--"),
    "at least: our attack": ([attack(s, len(sizes), delta) for s in sigmas], ORANGE, "-"),
    "claimed, as if Poisson": ([row["claimed_epsilon"] for row in table], BLUE, "-"),
}
with style():
    figure, ax = plt.subplots(figsize=(7.4, 3.8))
    for name, (values, colour, dashes) in lines.items():
        ax.plot(sigmas, values, dashes, color=colour, linewidth=2, label=name)
    ax.set(xlabel="noise multiplier σ", ylabel="ε of one shuffled epoch", ylim=(0, None))
    low = attack(bug_sigma, len(sizes), delta)
    ax.set_title(f"σ = 1 shuffled: claimed ε = {claimed:.2f}, but it is at least {low:.2f}")
    ax.legend()

# %% [markdown]
# The attack lies above the claim, so the claim is false. Over all data sets this way of training keeps an
# $\varepsilon$ between the orange and the green line. The data set that shows it is contrived; but DP is a promise for all
# data sets, so one is enough. The cure is a coin for every example, as in `PrivateStep.sample`, or to claim the green
# line.

# %%
torch.manual_seed(0)
drawn = [(torch.rand(N) < q).nonzero().flatten() for _ in sizes]
seen = torch.bincount(torch.cat(drawn), minlength=N)
print("batch sizes:", *[len(batch) for batch in drawn][:8], "…")
print("times an example was seen: from", int(seen.min()), "to", int(seen.max()))

# %% [markdown]
# ## Recap: three questions
#
# Open the answer you would give; it tells you whether it holds.
#
# **1. Why is the noisy sum divided by the expected batch size L, and not by the number of examples drawn?**
# <details><summary>L is the larger of the two, so less noise is left</summary>✗ The number drawn is L on
# average, sometimes more and sometimes less. It is not about the size.</details>
# <details><summary>The number drawn depends on who is in the data</summary>✓ It is a second look at the data,
# and nobody paid for it. L is known beforehand and tells nothing.</details>
# <details><summary>A batch may be empty, and nothing can be divided by zero</summary>✗ Some batches are
# empty, but that is not the reason. Even where nobody divides by zero, the number drawn tells of the
# data.</details>
#
# **2. Two trainings on 10,000 examples promise ε = 4, one with δ = 1e-2, the other with δ = 1e-6. Which do
# you trust?**
# <details><summary>The first: a larger δ takes more noise to keep</summary>✗ It is the other way round. At
# the same ε, a larger δ is kept with less noise.</details>
# <details><summary>Both alike: ε bounds the leak, and δ is only for rare accidents</summary>✗ The accident
# may be that somebody is published in full. With 10,000 examples and δ = 1e-2 it need not be rare.</details>
# <details><summary>The second: with δ = 1e-2, a hundred pictures could lie open</summary>✓ δ has to be far
# below 1/N. To publish each picture with probability 1e-2 keeps the first promise, and that is a hundred of
# them on average.</details>
#
# **3. ε = 8, and the whole curve of this training allows an attacker few members at 1 % false alarms. Are you
# safe?**
# <details><summary>Not for sure: you may be one of the few, and of them an attacker can be nearly
# sure</summary>✓ The bound counts how many are found on average. The belief about one person can still come
# close to 100 %, which is why small ε matter.</details>
# <details><summary>No: e to the power of 8 is about 3,000, so an attacker finds nearly everybody</summary>✗
# The pair (ε, δ) alone would hardly forbid it. But a training keeps a whole curve of pairs, and the curve
# forbids it.</details>
# <details><summary>Yes: few are found, and an attacker is never more than half sure of anybody</summary>✗ One
# half is the belief before anything is published. At ε = 8 it can come close to certainty.</details>
#
# ## What you can do now
#
# - Read $(\varepsilon, \delta)$ as a bound on an attacker, and $\delta$ with suspicion.
# - Write DP-SGD: coins, clip, sum, noise, divide by the *expected* batch size, count every step.
# - Ask of any private training: who is a neighbour, how were batches drawn, which accountant, which delta?
# - For real training use `lorakit.fit(model, data, Recipe(privacy=Privacy(epsilon=2)))`: Opacus
#   underneath, and errors for much of what can silently go wrong. [Lesson 07](07_private_fine_tuning.ipynb)
#   shows what it costs, [lesson 08](08_auditing_privacy.ipynb) attacks a trained model.
#
# ## What this does not protect
#
# - **The pictures and labels from the trainer.** The trainer sees all of them. Hiding pictures from the
#   trainer is what image encryption is about, and that gives no $\varepsilon$.
# - **Several examples at once.** The unit is one example. For a group of $k$, such as $k$ pictures of one
#   person, the promise is $k \varepsilon$ with $\delta$ grown to at most $k\, e^{(k-1)\varepsilon}\, \delta$. At
#   $\varepsilon = 2$ little is left of it for $k = 4$.
# - **What is true of people in general.** That smokers fall ill can be learned without you, and then
#   applied to you.
# - **Whatever else is released.** The losses, norms, batch sizes and histograms of private images printed
#   in this lesson are not covered. Nor is tuning: each run on the same data spends its own $\varepsilon$
#   (Papernot and Steinke 2021, arXiv 2110.03620).
# - **Against those who know the seed.** Here everybody does: subtract the noise and it is gone. PyTorch's
#   generator is not a cryptographic one either, and the proofs are for real numbers, while computers round
#   (Mironov 2012, *On significance of the least significant bits for differential privacy*).
# - **Against bugs.** The accountant believes what it is told. You have just seen what that is worth.
#
# ## ★ Open task: a private answer of your own
#
# Choose a statistic of the training pictures that somebody could want: the mean picture of a class, a histogram of
# brightness, the most common class. Publish it with $\varepsilon = 1$, as useful as you can make it.
#
# | your report | points |
# | --- | --- |
# | states neighbours, sensitivity and mechanism, with a proof of three lines | 3 |
# | shows the answer beside the exact one, over twenty draws of the noise | 2 |
# | attacks it: an optimal guess between the two worlds, its rates beside the bound | 3 |
# | names one thing that the answer gives away about people in general | 1 |
# | says what was looked at while choosing, and what that costs | 1 |

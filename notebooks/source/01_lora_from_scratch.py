# ---
# jupyter:
#   lorakit:
#     title: LoRA from scratch
#     learn:
#     - write a LoRA layer and count what it trains
#     - say why B starts at zero, and why A then stands still for one step
#     - merge a trained update into its weight, with the same outputs
#     - read from singular values how low the rank of a real weight change is
#     - spot a scale of zero, and say what the scale alpha / r does when the rank changes
#     needs: Basic PyTorch (tensors, `nn.Module`, autograd) and what the rank of a matrix is. Lesson 00 shows where it all leads; you can start here as well.
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
# A pre-trained model has millions of weights. To teach it a new task, must all of them move? **Low-rank
# adaptation** (LoRA; Hu et al. 2021, [arXiv 2106.09685](https://arxiv.org/abs/2106.09685)) freezes every weight
# matrix $W$ and learns only a *change* to it: the product of two thin matrices. Everything below is drawn to scale.
# **Can two strips that thin really steer the model?**

# %% tags=["parameters"]
preset = "quick"  # smoke: seconds, for tests; quick: what the outputs show

# %% tags=["context"]
import copy
import math

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F
from exercises import check
from matplotlib.patches import FancyBboxPatch
from matplotlib.ticker import PercentFormatter
from torch import nn

from lorakit import (
    Experiment,
    apply_method,
    create_backbone,
    evaluate,
    fit,
    load,
    lora_layers,
    merge_lora,
    normalise,
)
from lorakit.explore import rank_chart
from lorakit.figures.style import METHOD_COLOURS, OTHER_COLOURS, style
from lorakit.lora.lora import LoRA, LoRALinear
from lorakit.training.recipe import Recipe

smoke = preset == "smoke"

# %% tags=["folded"]
# @title Drawing: W beside thin B and A, to scale
before = create_backbone("vit_micro")  # the pre-trained model of this course, width 128
W = before.blocks[5].attn.qkv.weight.detach()[:128]  # one of its weight matrices, (128, 128)
torch.manual_seed(3)
B, A = torch.randn(128, 4), torch.randn(4, 128)
with style():
    figure, ax = plt.subplots(figsize=(9.5, 3.5))
    pieces = {
        "W, frozen\n128 × 128 = 16,384 numbers": (W, 0, "Greys"),
        "B\n128 × 4": (B, 345, "PuOr"),
        "A\n4 × 128": (A, 367, "PuOr"),
        "ΔW, the change\n128 × 128, of rank 4": (B @ A, 168, "PuOr"),
    }
    for name, (matrix, left, cmap) in pieces.items():
        rows, columns = matrix.shape
        most = 2 * matrix.std().item()
        place = (left, left + columns, -rows, 0)  # one number is one unit square: to scale
        ax.imshow(matrix, extent=place, cmap=cmap, vmin=-most, vmax=most, interpolation="nearest")
        ax.add_patch(plt.Rectangle((left, -rows), columns, rows, fill=False, ec="black", lw=0.8))
        ax.text(left + columns / 2, -rows - 6, name, ha="center", va="top")
    for x, sign in ((142, "+"), (320, "="), (356, "·")):
        ax.text(x, -64, sign, ha="center", va="center", fontsize=16)
    look = {
        "boxstyle": "round,pad=0,rounding_size=6",
        "fc": "#F4F4F4",
        "ec": "#BBBBBB",
        "zorder": -1,
    }
    ax.add_patch(FancyBboxPatch((158, -163), 345, 173, **look))  # what belongs to the change
    ax.text(431, -64, "only these two strips train:\n1,024 numbers", ha="center", va="center")
    ax.set(xlim=(-4, 505), ylim=(-166, 12), aspect="equal")
    ax.axis("off")
    ax.set_title(
        f"A change of full size, made of {(B.numel() + A.numel()) / W.numel():.1%} of the numbers"
    )

# %% [markdown]
# In this lesson you build that layer line by line and check it against the one in `lorakit`. Then you test the
# idea itself: you fine-tune a small Vision Transformer in full, and look at how its weights really changed.
#
# ## How many numbers does a change need?
#
# A linear map has a weight $W$ of shape (out, in). Fine-tuning turns it into $W + \Delta W$, and $\Delta W$
# has $\text{in} \cdot \text{out}$ numbers. LoRA allows only changes of the form
#
# $$\Delta W = \frac{\alpha}{r}\, B A, \qquad A: (r, \text{in}), \quad B: (\text{out}, r)$$
#
# where $r$, the **rank**, is a small number that you choose, and $\alpha$ (alpha) sets the scale. $A$ reads
# $r$ numbers from the input; $B$ writes them to the output. A product through $r$ numbers cannot have rank
# above $r$:

# %%
torch.manual_seed(0)
A, B = torch.randn(4, 768), torch.randn(768, 4)
change = B @ A  # (768, 4) @ (4, 768) -> (768, 768)
print(f"shape {tuple(change.shape)}, rank {torch.linalg.matrix_rank(change).item()}")

# %% [markdown] tags=["hints"] exercise="01.count"
# ### Exercise 1: count
#
# How many numbers are there to train in $A$ and $B$ together? Write it as a function of in, out and $r$.
#
# <details><summary>Hint 1</summary>
#
# A matrix of shape (a, b) holds a · b numbers. Write down the two shapes.
#
# </details>
# <details><summary>Hint 2</summary>
#
# $A$ is (r, in) and $B$ is (out, r). Both have a side of length r, so r can be factored out of the sum.
#
# </details>


# %% tags=["exercise"] exercise="01.count"
def count_lora(n_in, n_out, rank):
    """The number of trainable parameters of LoRA on a map from n_in to n_out."""
    ...  # your code


check("01.count", count_lora)

# %% [markdown] tags=["solution"] exercise="01.count"
# <details><summary>Solution</summary>
#
# ```python
# def count_lora(n_in, n_out, rank):
#     return rank * (n_in + n_out)
# ```
#
# $A$ has $r \cdot \text{in}$ numbers, $B$ has $\text{out} \cdot r$. The whole weight has
# $\text{in} \cdot \text{out}$.
#
# </details>

# %% [markdown]
# ViT-B/16 is a common Vision Transformer of 86 million weights. The linear maps of its attention, for query,
# key, value and output (lesson 02), are 768 × 768 each. **Predict**: at which rank does LoRA train as many
# numbers as the whole matrix has? Is it 768?

# %%
n = 768
for rank in (1, 4, 16, 64, 384, 768):
    numbers = sum(p.numel() for p in LoRA(n, n, rank, alpha=rank).parameters())
    print(f"rank {rank:3}: {numbers:9,} numbers, {numbers / n**2:7.1%} of the matrix")

# %% [markdown]
# Not 768 but half of it: two matrices share the work. So LoRA saves much only while $r$ is far below the
# width.
#
# Here is what that means for whole models. The title counts **`lora+patch`**, the method that this course puts to
# the test. It trains LoRA and, as a whole, the *patch embedding*: the one matrix that meets the picture first
# ([lesson 02](02_adapting_a_vit.ipynb) takes it apart). The others train less, or everything:
#
# - `lora`: LoRA, without the patch embedding. `patch`: the patch embedding, without LoRA;
# - `bitfit`: only the biases of all layers; `probe`: only the last layer, the *head*, which all the others train too;
# - `full`: every weight there is.
#
# Drag the rank (in JupyterLab; elsewhere you see a still picture). Above the curves $W$ and the two strips are drawn to
# scale.

# %%
rank_chart()

# %% [markdown]
# ## The layer, line by line
#
# The adapted map sends an input $x$ to
#
# $$h = x W^\top + \frac{\alpha}{r}\, x A^\top B^\top$$
#
# ($x$: a row of length in, or many rows, (N, in); $h$: (N, out).) Note what is *not* computed: $B A$ is never
# formed. Going through $r$ numbers first is cheaper than multiplying by a full matrix.

# %% [markdown] tags=["hints"] exercise="01.forward"
# ### Exercise 2: the forward pass
#
# Write the formula with plain tensors. Gradients must be able to reach $A$ and $B$.
#
# <details><summary>Hint 1</summary>
#
# `X.T` is the transpose and `@` the matrix product. Write the shapes beside each factor: neighbours must
# agree.
#
# </details>
# <details><summary>Hint 2</summary>
#
# $r$ is not an argument, but one of the shapes knows it: that of `A` or of `B`.
#
# </details>
# <details><summary>Hint 3</summary>
#
# The scale multiplies only the second term. Use `/`, the real division.
#
# </details>


# %% tags=["exercise"] exercise="01.forward"
def lora_forward(x, W, A, B, alpha):
    """x (N, in), W (out, in), A (r, in), B (out, r) to h (N, out)."""
    ...  # your code


check("01.forward", lora_forward)

# %% [markdown] tags=["solution"] exercise="01.forward"
# <details><summary>Solution</summary>
#
# ```python
# def lora_forward(x, W, A, B, alpha):
#     rank = A.shape[0]
#     return x @ W.T + alpha / rank * (x @ A.T @ B.T)  # (N, out) + (N, in) -> (N, r) -> (N, out)
# ```
#
# Python multiplies from the left, so `x @ A.T` comes first and the wide matrix $BA$ is never made.
#
# </details>

# %% [markdown]
# Now as a module. The update alone is a few lines. Both maps are plain `nn.Linear` without bias, so that
# every tool that knows linear layers knows ours too.


# %% tags=["context"]
class Update(nn.Module):
    """The update alone: x (..., in) to (alpha / r) B A x (..., out)."""

    def __init__(self, n_in, n_out, rank, alpha):
        super().__init__()
        self.A = nn.Linear(n_in, rank, bias=False)  # weight (r, in)
        self.B = nn.Linear(rank, n_out, bias=False)  # weight (out, r)
        self.scale = alpha / rank  # real division
        nn.init.kaiming_uniform_(self.A.weight, a=math.sqrt(5))  # random, as in a new nn.Linear
        nn.init.zeros_(self.B.weight)  # so that a new layer changes nothing

    def forward(self, x):
        return self.B(self.A(x)) * self.scale  # (..., in) -> (..., r) -> (..., out)


# %% [markdown]
# Is that the layer which the rest of the course uses? Same weights in, same outputs out:

# %%
torch.manual_seed(0)
mine, theirs = Update(64, 48, rank=4, alpha=8), LoRA(64, 48, rank=4, alpha=8)
nn.init.normal_(mine.B.weight)  # as if trained; with zeros the test would prove little
theirs.load_state_dict(mine.state_dict())
x = torch.randn(10, 64)
assert torch.equal(mine(x), theirs(x))

base = nn.Linear(64, 48)
adapted = LoRALinear(base, ("all",), {"all": theirs})  # one update on the whole output
assert torch.equal(adapted(x), base(x) + mine(x))
print("equal: LoRALinear(x) = base(x) + Update(x)")

# %% [markdown] tags=["hints"] exercise="01.layer"
# ### Exercise 3: the whole layer
#
# Wrap `base`, an `nn.Linear` with a bias, so that the result starts with exactly its outputs and only the
# update trains. You may use `Update` from above, or write $A$ and $B$ yourself.
#
# <details><summary>Hint 1</summary>
#
# Two things go into `__init__`: keep the base and *freeze* it (its weight and its bias); make the update.
#
# </details>
# <details><summary>Hint 2</summary>
#
# `module.requires_grad_(False)` freezes all parameters of a module at once. `base.in_features` and
# `base.out_features` are the sizes.
#
# </details>
# <details><summary>Hint 3</summary>
#
# `forward` is one line. Call `self.base(x)`, do not take it apart: then the bias comes along.
#
# </details>


# %% tags=["exercise"] exercise="01.layer"
class Adapted(nn.Module):
    """A frozen linear map plus a low-rank update: x (..., in) to (..., out)."""

    def __init__(self, base, rank, alpha):
        super().__init__()
        ...  # your code

    def forward(self, x): ...  # your code


check("01.layer", Adapted)

# %% [markdown] tags=["solution"] exercise="01.layer"
# <details><summary>Solution</summary>
#
# ```python
# class Adapted(nn.Module):
#     def __init__(self, base, rank, alpha):
#         super().__init__()
#         self.base = base.requires_grad_(False)
#         self.update = Update(base.in_features, base.out_features, rank, alpha)
#
#     def forward(self, x):
#         return self.base(x) + self.update(x)
# ```
#
# The code is the formula. Everything else is in what is frozen and in how $A$ and $B$ start.
#
# </details>

# %% [markdown]
# ## The first step
#
# $A$ starts random and $B$ starts at zero. So $BA = 0$: a new layer gives the outputs of the old one, and
# training begins from the pre-trained model, not from a damaged one.
#
# **Predict**: after the very first backward pass, which of the two has a gradient that is not zero?

# %%
torch.manual_seed(0)
update = Update(64, 48, rank=4, alpha=8)
target = torch.randn(10, 48)
assert torch.equal(base(x) + update(x), base(x))  # identity at the start

optimizer = torch.optim.SGD(update.parameters(), lr=0.1)
for step in (1, 2, 3):
    optimizer.zero_grad()
    F.mse_loss(base(x) + update(x), target).backward()
    optimizer.step()
    sizes = {name: f"{p.grad.norm():.5f}" for name, p in update.named_parameters()}
    print(f"step {step}: length of the gradient {sizes}")

# %% [markdown]
# The chain rule says why. Let $G = \partial L / \partial h$, of shape (N, out), be the gradient of the loss
# $L$ at the output, and $s = \alpha / r$. Then
#
# $$\frac{\partial L}{\partial B} = s\, G^\top (x A^\top), \qquad \frac{\partial L}{\partial A} = s\, B^\top G^\top x .$$
#
# The gradient of $A$ has $B$ as a factor. While $B = 0$, it is zero; the gradient of $B$ has $A$ as a factor,
# which is random. So $B$ moves on step one, and $A$ from step two on. Set *both* to zero and neither ever
# moves. Let us check the formulas against autograd.

# %%
update = Update(64, 48, rank=4, alpha=8)
nn.init.normal_(update.B.weight)
h = base(x) + update(x)
loss = F.mse_loss(h, target)
s, A, B = update.scale, update.A.weight, update.B.weight
G, dA, dB = torch.autograd.grad(loss, [h, A, B])  # (10, 48), (4, 64), (48, 4)
assert torch.allclose(dB, s * G.T @ (x @ A.T), atol=1e-6)  # (48, 10) @ (10, 4)
assert torch.allclose(dA, s * B.T @ G.T @ x, atol=1e-6)  # (4, 48) @ (48, 10) @ (10, 64)
print("both formulas agree with autograd")

# %% [markdown]
# ## Merging
#
# After training, the update need not stay a separate branch. Since
# $x W^\top + \frac{\alpha}{r} x A^\top B^\top = x\,(W + \frac{\alpha}{r} BA)^\top$, it can be added to the
# weight once and for all. Then the model has its old shape and its old speed.

# %% [markdown] tags=["hints"] exercise="01.merge"
# ### Exercise 4: merge
#
# Return the merged weight as a new tensor, and leave $W$ as it is.
#
# <details><summary>Hint 1</summary>
#
# The result must have the shape of $W$, (out, in). Which order of $A$ and $B$ gives that?
#
# </details>
# <details><summary>Hint 2</summary>
#
# `W += ...` changes the caller's tensor. `W + ...` makes a new one. And do not forget the scale.
#
# </details>


# %% tags=["exercise"] exercise="01.merge"
def merged_weight(W, A, B, alpha):
    """W (out, in), A (r, in), B (out, r) to the weight (out, in) of one plain map that does the same."""
    ...  # your code


check("01.merge", merged_weight)

# %% [markdown] tags=["solution"] exercise="01.merge"
# <details><summary>Solution</summary>
#
# ```python
# def merged_weight(W, A, B, alpha):
#     return W + alpha / A.shape[0] * B @ A  # (out, in) + (out, r) @ (r, in)
# ```
#
# To undo it, subtract the same product: that is how one frozen model can carry many tasks, one at a time.
#
# </details>

# %% [markdown]
# ## Is the change of a real model low-rank?
#
# So far we have assumed that a low-rank change is enough. Is it? We take `vit_micro`, the small ViT that
# comes with this course (width 128, 6 blocks, pre-trained on synthetic pictures such as letters and fractals), and
# teach it to name real photographs of clothes twice: once with all its weights free, once with LoRA of rank 4 on
# the query and value maps, two of the linear maps of each block. The learning rates come from a search on
# validation images of clothes.

# %%
sizes = {"train": 64, "val": 1, "test": 60} if smoke else {"train": 2000, "val": 1, "test": 1000}
clothes = load("fashion", **sizes)
epochs = 1 if smoke else 3
tuned = {}
for method in ("full", "lora"):
    torch.manual_seed(0)
    model = apply_method(create_backbone("vit_micro"), method, rank=4)
    rates = Experiment(method=method, train=len(clothes.train)).recipe.lr  # searched for clothes
    fit(model, clothes.train, Recipe(epochs=epochs, lr=rates), progress=False)
    accuracy = evaluate(model, clothes.test)["accuracy"]
    tuned[method] = model.cpu()
    trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
    print(f"{method}: {trainable:9,} parameters train, test accuracy {accuracy:.1%}")

# %% [markdown]
# First the merge, on the trained model. All its adapted layers become plain ones, and the logits stay the
# same up to rounding:

# %%
images = normalise(clothes.test.images[:50])  # (50, 3, 32, 32)
merged = merge_lora(copy.deepcopy(tuned["lora"]).eval())
with torch.no_grad():
    gap = (merged(images) - tuned["lora"].eval()(images)).abs().max().item()
print(f"largest difference of a logit: {gap:.1e}")
assert gap < 1e-3

# %% [markdown]
# Now the weights. The **singular values** of $\Delta W$ say how much of the change lies in each of its
# independent directions; a matrix of rank $r$ has exactly $r$ that are not zero. The **energy** of a change is the
# sum of its squared singular values. We take the query map of the
# last block from both models. (timm, the library that our ViTs come from, keeps query, key and value in one
# matrix of 3 · 128 rows; the query's are the first 128. Lesson 02 has the details.)
#
# **Predict**: full fine-tuning could use all 128 directions. Does it?

# %%
block, width = 5, 128
name = f"blocks.{block}.attn.qkv"
W = before.get_submodule(name).weight.detach()[:width]  # (128, 128), the query's rows
change = {
    "full": tuned["full"].get_submodule(name).weight.detach()[:width] - W,
    "lora": dict(lora_layers(tuned["lora"]))[name].delta_weight().detach()[:width],
}
values = {method: torch.linalg.svdvals(d) for method, d in change.items()}  # 128 each, falling
shares = {method: v.square().cumsum(0) / v.square().sum() for method, v in values.items()}
for method, share in shares.items():
    rank = torch.linalg.matrix_rank(change[method]).item()
    kept = ", ".join(f"{k}: {share[k - 1]:.0%}" for k in (1, 4, 16, 64))
    print(f"{method}: rank {rank}; energy in the first {kept}")
    print(f"      the largest singular value is {values[method][0]:.2f}")

# %% [markdown]
# Strictly, the change of full fine-tuning has (nearly) full rank. But its energy is spread very unequally: few
# directions carry most of it. Does the *task* need the rest? We can ask
# directly. Keep only the $r$ strongest directions of $\Delta W$ in every linear map of every block of the
# fully fine-tuned model, and measure.


# %%
def truncate(delta, rank):
    """The closest matrix of a given rank to delta (out, in): its strongest singular directions."""
    U, S, Vh = torch.linalg.svd(delta, full_matrices=False)
    return U[:, :rank] * S[:rank] @ Vh[:rank]


kept_ranks = [0, 4, 128] if smoke else [0, 1, 2, 4, 8, 16, 32, 64, 128]
old, new = before.state_dict(), tuned["full"].state_dict()
maps = [k for k, p in new.items() if k.startswith("blocks") and p.ndim == 2]  # 4 a block
accuracies = []
for rank in kept_ranks:
    cut = copy.deepcopy(tuned["full"])
    for k in maps:
        pieces = (new[k] - old[k]).chunk(3 if "qkv" in k else 1)  # q, k and v each on their own
        cut.get_parameter(k).data = old[k] + torch.cat([truncate(piece, rank) for piece in pieces])
    accuracies.append(evaluate(cut, clothes.test)["accuracy"])

# %% tags=["folded"]
# @title Drawing: the energy of a change, and what the task needs of it
names = {"full": "full fine-tuning", "lora": "LoRA, r = 4"}
counts = [1, 2, 4, 8, 16, 32, 64, 128]
none, four, whole = (accuracies[kept_ranks.index(rank)] for rank in (0, 4, 128))
with style():
    figure, (left, right) = plt.subplots(1, 2, figsize=(9.5, 3.6))
    for method, share in shares.items():
        share = share[: 4 if method == "lora" else width]  # LoRA has no more
        look = {"color": METHOD_COLOURS[method], "label": names[method]}
        left.plot(range(1, len(share) + 1), share, ".-", **look)
    left.set(xlabel="strongest directions of ΔW", ylabel="energy in them", ylim=(0, 1.03))
    left.set_title(f"4 of 128 directions hold {shares['full'][3]:.0%} of the energy", fontsize=11)
    left.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    left.legend(loc="lower right", bbox_to_anchor=(1, 0.15))
    right.plot(kept_ranks[1:], accuracies[1:], "o-", color=METHOD_COLOURS["full"])
    right.axhline(none, color="#777777", linestyle=":")
    right.text(128, none, "nothing kept, rank 0", color="#555555", ha="right", va="bottom")
    right.set(xlabel="rank kept of every ΔW", ylabel="test accuracy")
    gained = f"{100 * (four - none):.1f} of {100 * (whole - none):.1f} points"
    right.set_title(f"Rank 4 of each brings back {gained}", fontsize=11)
    right.yaxis.set_major_formatter(PercentFormatter(1, decimals=1))
    for ax in (left, right):
        ax.axvline(4, color="#777777", linestyle="--", linewidth=1)
        ax.set_xscale("log", base=2)
        ax.set_xticks(counts, counts)

# %% [markdown]
# Look at the right panel, and at how small its scale is. On the dotted line the linear maps in the blocks are the
# pre-trained ones. (Head, patch embedding, biases and norms stay fine-tuned; that is why it is far above chance.) Eight
# directions of 128 bring back four fifths of what is missing: the *useful* change is of lower rank than the change as
# such. Rank 4 brings back only half of it.
#
# But this is a change that nobody asked to be of low rank. LoRA's change has had to be from the start, and LoRA
# ended level with full fine-tuning: a difference of one point is within the error of a thousand test pictures. On
# encrypted pictures full fine-tuning pulls ahead; on plain ones, with 4,000 and five seeds, it does not (lesson 10).
#
# The left panel counts shares, and hides sizes. LoRA's largest singular value is more than ten times that of full
# fine-tuning (printed above). It was trained with another learning rate and another scale, and found a change of its
# own.
#
# **Change one thing.** Which half of the change does the work, the attention or the MLP? In the cell that cuts ranks, end
# the line of `maps` with `and "mlp" in k]`. Now only the maps of the MLP are cut, and those of the attention keep their
# whole change. Run it and the drawing. Then try `"attn"`. Where does each dotted line lie?
#
# <details><summary>Which half</summary>
#
# Cut the MLP to rank 0, and 82.6 % are left: the attention alone brings back half of the four points. Cut the attention,
# and 83.6 % are left: the MLP alone brings back three quarters. So the MLP does more, and it has twice as many weights. (The
# two shares add up to more than the whole, so part of the work is done twice. And one point is little, from a thousand
# pictures.)
#
# </details>
#
# Do not take this for a law. Hu et al. argue from language models, after Aghajanyan et al. (2020, [arXiv
# 2012.13255](https://arxiv.org/abs/2012.13255)), who found that fine-tuning can live in few dimensions. On
# code and mathematics, Biderman et al. (2024, [arXiv 2405.09673](https://arxiv.org/abs/2405.09673)) found the
# change of full fine-tuning to have ten to a hundred times the rank that LoRA is usually given, and LoRA
# learned less.
#
# ## Find the silent bug
#
# Somebody asks which rank is best. The base map has to learn a change that is known to have rank 8, $\alpha$
# is kept at 8, and everything runs without a warning.


# %%
def rank_study(layer):
    torch.manual_seed(0)
    x, base = torch.randn(512, 64), nn.Linear(64, 48).requires_grad_(False)
    target = base(x) + x @ torch.randn(64, 8) @ torch.randn(8, 48) / 8  # a change of rank 8
    for rank in (2, 4, 8, 16):
        update = layer(64, 48, rank, alpha=8)
        optimizer = torch.optim.Adam(update.parameters(), lr=1e-2)
        losses = []
        for _ in range(200):
            optimizer.zero_grad()
            loss = F.mse_loss(base(x) + update(x), target)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        trained = sum(p.numel() for p in update.parameters() if p.requires_grad)
        print(
            f"rank {rank:2}: {trained:5,} to train, loss from {losses[0]:.4f} to {losses[-1]:.4f}"
        )


class BuggyUpdate(Update):
    def __init__(self, n_in, n_out, rank, alpha):
        super().__init__(n_in, n_out, rank, alpha)
        self.scale = alpha // rank


rank_study(BuggyUpdate)

# %% [markdown]
# "Rank 8 is best, rank 16 overfits," says the report. But this is the loss on the *training* data, and rank
# 16 can do everything that rank 8 can. **What is wrong?** Which numbers give it away, and what would you
# print next?
#
# <details><summary>What went wrong</summary>
#
# `alpha // rank` is the whole-number division. With $\alpha = 8$ it is right for ranks 2, 4 and 8, so every
# small test passes. At rank 16, `8 // 16` is 0: the update is multiplied by zero, its gradients are zero,
# nothing trains. No error, no warning, and the parameters are counted as trainable. (For $\alpha = 12$,
# $r = 8$ the scale would be 1 in place of 1.5: not even a flat curve to notice.) Print `update.scale`, or
# better, check that the weights have moved:
#
# </details>

# %%
for layer in (BuggyUpdate, Update):
    torch.manual_seed(0)
    update = layer(64, 48, rank=16, alpha=8)
    optimizer = torch.optim.Adam(update.parameters(), lr=1e-2)
    for _ in range(3):  # three steps: A stands still on the first, even in a sound layer
        optimizer.zero_grad()
        F.mse_loss(base(x) + update(x), torch.zeros(10, 48)).backward()
        optimizer.step()
    moved_by = update.B.weight.norm().item()
    print(f"{layer.__name__}: scale {update.scale}, B has moved by {moved_by:.3f} after 3 steps")

print("\nthe same study with alpha / rank:")
rank_study(Update)

# %% [markdown]
# A loss that is the same to the last digit before and after training is never bad luck. Something is cut off.
# (Rank 16 ends a little above rank 8 even now. It can do the same, but needs some more steps at this scale.)
#
# ## Recap: three questions
#
# Open the answer you would give; it tells you whether it holds.
#
# **1. A map from 1,024 to 256 values gets LoRA of rank 8. How many numbers train, and what is there after
# merging?**
# <details><summary>8 · (1,024 + 256) train; after merging, one matrix of 1,024 · 256 numbers</summary>✓ A has
# 8 · 1,024 numbers and B has 256 · 8, together 10,240. Merging adds their product to the weight, which keeps
# its shape.</details>
# <details><summary>8 · 1,024 · 256 train; after merging, one matrix of 1,024 · 256 numbers</summary>✗ A and B
# are two separate strips, so their sizes add up. 8 · 1,024 · 256 would be eight times the whole
# matrix.</details>
# <details><summary>8 · (1,024 + 256) train; after merging, 1,024 · 256 and those beside it</summary>✗ The
# count is right, but after merging no strip is left. The update is in the weight, and the model has its old
# size and speed.</details>
#
# **2. A new layer has B = 0 and a random A. What does the first step of training move?**
# <details><summary>Only A: a matrix of zeros has a gradient of zeros</summary>✗ A zero can have a gradient.
# That of B has A as a factor, and A is random: so B moves.</details>
# <details><summary>Nothing: the product BA is zero, so no gradient comes through</summary>✗ That would be so
# if both were zero: then neither ever moves. With a random A, a gradient reaches B.</details>
# <details><summary>Only B: the gradient of A has B as a factor</summary>✓ B moves on step one, and A from
# step two on. And as BA = 0 at the start, training begins with the outputs of the old model.</details>
#
# **3. You train with rank 4 and α = 8, then with rank 32 and α = 8, at one learning rate. Rank 32 ends with
# the larger training loss. What follows?**
# <details><summary>Rank 4 suits the task better: nothing else was changed</summary>✗ Something else was: the
# scale α / r multiplies the update, and equal α is not an equal scale.</details>
# <details><summary>Nothing about rank alone: the scale α / r fell from 2 to 0.25</summary>✓ The rank was not
# the only thing that changed. The first step stays alike (Going further), but how the rest of a training goes
# depends on the scale too. Tune the rate for each rank, then compare.</details>
# <details><summary>Rank 32 overfits: it has more numbers than the task needs</summary>✗ A model that overfits
# has a small training loss, not a large one. Rank 32 can do everything that rank 4 can.</details>
#
# Next, [lesson 02](02_adapting_a_vit.ipynb) puts the layer into a Vision Transformer, and lets one more part
# learn: the patch embedding.
#
# ## What this does not protect
#
# Nothing yet. LoRA is a way to train fewer parameters, not a privacy method. $A$ and $B$ are made from the
# training images, and may remember them, as any trained weights may. To publish only the small update does
# not hide what it was trained on. Later lessons add encryption of the images (against a trainer) and
# differential privacy (against everyone who sees the model), and keep the two apart.
#
# ## Going further: what the scale does
#
# Why $\alpha / r$, and not just a number? Hu et al. divide by $r$ so that a learning rate that suits one rank
# suits others too. Let us test that where it starts: one step of Adam at the same learning rate, from the
# same pre-trained model. How much do the features move that the head reads, the last vector of the **class
# token** (lesson 02)?
#
# **Predict**: with a fixed scale (say 2), does the same step move a model of rank 64 as much as one of rank
# 1?

# %%
images, labels = normalise(clothes.train.images[:64]), clothes.train.labels[:64]
with torch.no_grad():
    start = before.eval().forward_features(images)[:, 0]  # (64, 128), the class token


def first_step(rank, alpha):
    """Relative change of the class token's features after one step of Adam."""
    torch.manual_seed(0)
    model = apply_method(create_backbone("vit_micro"), "lora", rank=rank, alpha=alpha).eval()
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=1e-3)
    F.cross_entropy(model(images), labels).backward()
    optimizer.step()
    with torch.no_grad():
        return ((model.forward_features(images)[:, 0] - start).norm() / start.norm()).item()


ranks = [1, 16] if smoke else [1, 4, 16, 64]
rules = {"alpha = 16, scale 16 / r": lambda r: 16, "alpha = 2 r, scale 2": lambda r: 2 * r}
moved = {rule: [first_step(r, alpha(r)) for r in ranks] for rule, alpha in rules.items()}

# %% tags=["folded"]
# @title Drawing: how far one step goes
grown = moved["alpha = 2 r, scale 2"][-1] / moved["alpha = 2 r, scale 2"][0]
with style():
    figure, ax = plt.subplots(figsize=(7, 3.6))
    for (rule, changes), colour, marker in zip(moved.items(), OTHER_COLOURS, "os"):
        ax.loglog(ranks, changes, marker + "-", color=colour, label=rule)
    ax.set(xlabel="rank r", ylabel="change of the features")
    ax.set_title(
        f"With a fixed scale, rank {ranks[-1]} takes a {grown:.0f} times larger first step"
    )
    ax.set_xticks(ranks, ranks)
    ax.minorticks_off()
    ax.set_yticks([0.001, 0.003, 0.01, 0.03, 0.1])
    ax.yaxis.set_major_formatter(PercentFormatter(1, decimals=1))
    ax.legend()

# %% [markdown]
# On its first step Adam moves every entry of $B$ by about the learning rate, whatever its gradient. With more
# rank there are more entries, and where their effects pull in one direction they add up: the step grows like
# $s \cdot r$. Dividing a fixed $\alpha$ by $r$ cancels that, so the first curve stays about level.
#
# Two remarks. `lorakit` takes $\alpha = 2r$ unless told otherwise, so its scale is 2 at every rank: simple,
# but **more rank then wants a smaller learning rate**. And one step is not a whole training run:
# Kalajdzievski (2023, [arXiv 2312.03732](https://arxiv.org/abs/2312.03732)) argues that at large ranks
# $\alpha / r$ makes updates too small, and proposes $\alpha / \sqrt{r}$. Whichever you use, compare ranks
# only after tuning the rate for each.
#
# ## ★ Open task: a rank of its own for every matrix
#
# All maps got the same rank above. Do all need it? Take the fully fine-tuned model, and give each of its 36
# changes (6 blocks; query, key, value, output and the two maps of the MLP) a rank of its own, such that the ranks
# add up to 144. Beat rank 4 everywhere, in test accuracy.
#
# - **2 points**: a rule that uses only singular values, no accuracy. Explain it in two sentences.
# - **2 points**: a fair comparison: same total, one figure, both rules, totals of 36, 72, 144 and 288.
# - **1 point**: choose on validation images, report on test images, once.
# - **1 point**: say which maps got most, and whether one seed is enough to believe it.

# ---
# jupyter:
#   lorakit:
#     title: Encrypting images
#     learn:
#     - build the block-wise cipher from three lines of indexing, and undo it exactly
#     - count its keys in bits, and say why that number proves nothing
#     - show what still leaks from an encrypted picture
#     - prove, on paper and in code, that a ViT can read encrypted images as well as plain ones
#     - find a normalisation that silently breaks that proof
#     needs: Python and PyTorch basics, and lesson 02 for the patch embedding, tokens and positions.
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
# One face, and four encrypted forms of it. **Which of the four could a Vision Transformer (ViT) read exactly
# as well as the original?**

# %% tags=["parameters"]
preset = "quick"  # smoke: seconds, for tests; quick: what the outputs show

# %% tags=["context"]
import copy
import math

import matplotlib.pyplot as plt
import pandas as pd
import torch
from exercises import check
from matplotlib.cbook import get_sample_data
from PIL import Image
from torch import nn
from torchvision.transforms.functional import pil_to_tensor

from lorakit import (
    Experiment,
    Split,
    adapt_to_key,
    apply_method,
    create_backbone,
    decrypt,
    encrypt,
    evaluate,
    fit,
    load,
    make_key,
    normalise,
)
from lorakit.encryption.cipher import STEPS, from_blocks, to_blocks
from lorakit.explore import CipherExplorer
from lorakit.figures.style import FROZEN, TRAINABLE, style
from lorakit.training.recipe import Recipe

smoke = preset == "smoke"


def show(pictures, title, width=1.75):
    """A row of pictures (3, H, W) under their names."""
    with style():
        figure, axes = plt.subplots(1, len(pictures), figsize=(width * len(pictures), width + 0.9))
        for ax, (name, picture) in zip(axes, pictures.items()):
            ax.imshow(picture.movedim(0, -1))  # (H, W, 3)
            ax.set_title(name, loc="center", fontsize=10, fontweight="normal")
            ax.axis("off")
        figure.suptitle(title, fontweight="bold")


def correlation(a, b):
    """Pearson's correlation of two tensors of the same size: 1 is the same up to scale, 0 unrelated."""
    return torch.corrcoef(torch.stack([a.flatten().float(), b.flatten().float()]))[0, 1].item()


# %% tags=["folded"]
# @title Drawing: one face through the cipher
photo = Image.open(get_sample_data("grace_hopper.jpg", asfileobj=False)).crop((0, 10, 512, 522))
face = pil_to_tensor(photo.resize((224, 224)))  # uint8 (3, 224, 224)
size, p = face.shape[-1], 16
pictures = {"plain": face}
for step in (*STEPS, STEPS):
    name = step if step in STEPS else "all three"
    pictures[name] = encrypt(face, make_key(size, p, step, seed=3))
show(pictures, "You can make out a person in three of the four. And a ViT?")

# %% [markdown]
# <details><summary>The answer</summary>
#
# All four, even the last one, where you see nothing. For each key there is a ViT that gives for the encrypted picture the
# very numbers that the plain ViT gives for the plain one. The second half of this lesson proves it.
#
# </details>
#
# That is the bargain of *perceptual image encryption*: move the values of a picture about with a secret key,
# so that a person sees noise, but so tidily that a ViT can still learn. Lin, Imaizumi and Kiya (2025,
# [arXiv 2507.11943](https://arxiv.org/abs/2507.11943)) fine-tune on such pictures. Of their paper we have read the abstract and the
# introduction, so steps and block sizes here are ours. The word "encryption" promises more than this cipher holds:
# lesson 05 breaks it.
#
# The face is that of Grace Hopper, who wrote one of the first compilers (a US Navy photograph, in the public domain,
# which matplotlib ships). The picture has 224 × 224 pixels, the size that ViT-B/16 takes. We cut it into blocks of $p = 16$:
# one block is one **patch** of the ViT. That choice is the whole trick.
#
# ## Blocks
#
# Lesson 02 cut a picture into $N = HW / p^2$ patches, each a vector $x_i$ of $c p^2$ values: all red ones first, row by
# row, then green, then blue. That is the order in which the weight of the patch embedding,
# $(\text{dim}, c, p, p)$, lies in memory. `to_blocks` does this cut, `from_blocks` puts the picture together again.

# %%
blocks = to_blocks(face, p)  # (N, c p²) = (196, 768)
print(f"{len(blocks)} blocks of {blocks.shape[1]} values")
assert torch.equal(from_blocks(blocks, p, size), face)

# %% [markdown]
# ## Step 1: scramble the blocks
#
# A key holds a permutation of the $N$ blocks: place $i$ shows block `key.blocks[i]`. One indexing does it.
# This key is made **from a seed, for teaching**: you get the same one as we do, and so does everybody else.

# %%
key = make_key(size, p, seed=3)  # a teaching key
print(key)  # a key shows its sizes, never its permutations
scrambled = blocks[key.blocks]  # (N, c p²): whole rows change places

# %% [markdown]
# ## Step 2: shuffle the values inside a block
#
# A second permutation, of the $c p^2$ values. It is **the same in every block**, and it mixes colours: a red
# value may land in a blue place.

# %% [markdown] tags=["hints"] exercise="03.shuffle"
# ### Exercise 1: shuffle within blocks
#
# Write `shuffle`, for a batch: place $j$ of each new block shows value `permutation[j]` of the old one.
# Blocks stay where they are.
#
# <details><summary>Hint 1</summary>
#
# Step 1 indexed the axis of blocks. Which axis holds the values of a block?
#
# </details>
# <details><summary>Hint 2</summary>
#
# `...` in an index stands for all the axes before. Reading, `x[..., permutation]`, and writing,
# `y[..., permutation] = x`, are inverse to each other. Only one of them is "place j shows value
# permutation[j]".
#
# </details>


# %% tags=["exercise"] exercise="03.shuffle"
def shuffle(blocks, permutation):
    """blocks (n, N, v), permutation int64 (v,) to (n, N, v)."""
    ...  # your code


check("03.shuffle", shuffle)

# %% [markdown] tags=["solution"] exercise="03.shuffle"
# <details><summary>Solution</summary>
#
# ```python
# def shuffle(blocks, permutation):
#     return blocks[..., permutation]  # (n, N, v)
# ```
#
# One index on the last axis. The inverse permutation would also give a fine cipher, but not the one that
# `lorakit` decrypts.
#
# </details>

# %% [markdown]
# ## Step 3: turn some values negative
#
# Last, a coin for each of the $c p^2$ places, again the same in every block: heads, and the value becomes its
# negative, like film. For bytes the negative of $x$ is $255 - x$. Writing `-x` is a bug that raises nothing:

# %%
bright = torch.tensor([0, 1, 128, 255], dtype=torch.uint8)
print("x      ", bright.tolist())
print("255 - x", (255 - bright).tolist())
print("-x     ", (-bright).tolist(), " wraps around at 256: off by one, and black stays black")

# %% [markdown]
# Look at the first figure again. Scrambling leaves pieces that you can recognise one by one. Shuffling leaves
# every piece in its place, so the outline stays: colour is lost, and detail finer than a block. Negatives at
# fixed places leave the edges.
#
# **Play.** Leave only *scramble* on, with blocks of 16. Can you name the garment? Now add *shuffle*, then *negative*. When
# do you lose it? Then try a picture of your own: no other computer sees it than the one that runs this notebook.

# %%
CipherExplorer()

# %% [markdown]
# ## All of it, and back
#
# Three lines are the cipher. We assert that `lorakit.encrypt` gives the same for several keys, for bytes and
# for normalised numbers, where the negative is simply $-x$.


# %%
def encrypt_by_hand(images, key):
    """images (..., 3, H, W) to the same, encrypted."""
    x = to_blocks(images, key.block_size)  # (..., N, c p²)
    x = x[..., key.blocks, :][..., key.pixels]  # (..., N, c p²)
    opposite = 255 - x if x.dtype == torch.uint8 else -x
    return from_blocks(torch.where(key.flips, opposite, x), key.block_size, key.image_size)


for kind in (*STEPS, STEPS):
    some = make_key(size, p, kind, seed=5)
    for images in (face, normalise(face)):
        assert torch.equal(encrypt_by_hand(images, some), encrypt(images, some))
print("same as lorakit.encrypt")

# %% [markdown] tags=["hints"] exercise="03.decrypt"
# ### Exercise 2: the way back
#
# Write `decrypt_by_hand`: it undoes `encrypt_by_hand`, for bytes, not one bit off. `to_blocks` and
# `from_blocks` are there; use no `decrypt`.
#
# <details><summary>Hint 1</summary>
#
# Undo the last step first. What undoes a negative?
#
# </details>
# <details><summary>Hint 2</summary>
#
# Writing undoes reading: after `y = x[permutation]`, `x = y[permutation.argsort()]`. Values and blocks lie on
# different axes, so their order does not matter, but each needs its own inverse.
#
# </details>


# %% tags=["exercise"] exercise="03.decrypt"
def decrypt_by_hand(images, key):
    """images uint8 (n, 3, H, W), encrypted, to the plain ones."""
    ...  # your code


check("03.decrypt", decrypt_by_hand)

# %% [markdown] tags=["solution"] exercise="03.decrypt"
# <details><summary>Solution</summary>
#
# ```python
# def decrypt_by_hand(images, key):
#     x = to_blocks(images, key.block_size)  # (n, N, c p²)
#     x = torch.where(key.flips, 255 - x, x)  # twice negative is none
#     x = x[..., key.pixels.argsort()][..., key.blocks.argsort(), :]
#     return from_blocks(x, key.block_size, key.image_size)
# ```
#
# The negatives come first: `flips` counts places of the **encrypted** block. After the shuffle is undone, the same
# places hold other values.
#
# </details>

# %% [markdown]
# ## With a wrong key
#
# Not all wrong keys are equally wrong. From the second picture on, everything is right but the order of the values
# inside a block. A share of that order is wrong, and the share shrinks to the right. $r$ is the correlation of the
# decrypted values with the plain ones. **Predict**: how much of the order must be right before you recognise her?

# %%
secret = encrypt(face, key)
guesses = {"another key": decrypt(secret, make_key(size, p, seed=4))}
torch.manual_seed(0)
for percent in (100, 50, 10, 0):
    wrong = torch.randperm(768)[: 768 * percent // 100]  # these places get mixed up
    pixels = key.pixels.clone()
    pixels[wrong] = key.pixels[wrong.roll(1)]
    near = type(key)(size, p, key.blocks, pixels, key.flips)
    guesses[f"{percent} % of places wrong"] = decrypt(secret, near)
named = {f"{name}\nr = {correlation(x, face):.2f}": x for name, x in guesses.items()}
show(named, "An almost right key gives an almost right picture")

# %% [markdown]
# In a modern cipher such as AES, one wrong bit of the key gives noise. Here each right piece of the key makes
# the picture a little better, so an attacker can *improve* a key piece by piece and need not guess it whole.
#
# **Change one thing.** Put 90 and 70 into the list of per cents in the cell above, and run it again. Where do *you*
# recognise her?
#
# ## How many keys are there?
#
# $N!$ orders of the blocks, $(c p^2)!$ orders of the values, $2^{c p^2}$ sets of negatives. In bits, with
# $\log_2 n! = \ln \Gamma(n + 1) / \ln 2$:


# %%
def bits_of_factorial(n):
    return math.lgamma(n + 1) / math.log(2)  # log2(n!)


for image, block in ((32, 8), (224, 16)):
    n, values = (image // block) ** 2, 3 * block**2
    bits = {"blocks": bits_of_factorial(n), "pixels": bits_of_factorial(values), "flips": values}
    parts = " + ".join(f"{name} {count:.0f}" for name, count in bits.items())
    print(f"{image} x {image}, p = {block:2}: {parts} = {sum(bits.values()):.0f} bits")
print(
    f"an AES key: 128 to 256; a puzzle, a letter for each letter: log2 26! = {bits_of_factorial(26):.0f}"
)

# %% [markdown]
# Many times the bits of AES. What does that prove? Nothing. The puzzle, a newspaper's cryptogram, has far more keys than
# anyone could try, and people solve it over breakfast, because they do not try keys: they use what the cipher
# leaves visible. The number of keys bounds the attacker's work from above, and says nothing about the best
# attack. [Lesson 05](05_breaking_the_cipher.ipynb) finds better ones.
#
# A key is also only as good as the way it was drawn. `make_key(size, p)` takes it from the operating system's
# cryptographic generator. With `seed=`, anyone who guesses the seed draws the same key. Say that a colleague
# took the number of the day in the year. The attacker has **one encrypted picture** and knows that pictures
# are smooth:

# %%
seeds = range(1, 13 if smoke else 367)
hidden = encrypt(face, make_key(size, p, seed=seeds[-5]))  # the attacker sees this and nothing else
guesses = (decrypt(hidden, make_key(size, p, seed=seed)).float() for seed in seeds)
roughness = [x.diff(dim=-1).abs().mean().item() for x in guesses]  # of neighbouring pixels
found = seeds[roughness.index(min(roughness))]
print(f"roughness {min(roughness):.1f} with seed {found}, next best {sorted(roughness)[1]:.1f}")
print("the right seed:", found == seeds[-5])

# %% [markdown]
# ## What still shows
#
# The cipher moves values about and flips signs. Everything that this cannot change leaks. Two maps, one number
# a block: its **mean brightness**, and its mean **distance from mid-grey** $|x|$ (with $x$ normalised to
# $[-1, 1]$; a flip does not change it). $r$ is the correlation with the map of the plain picture, place by
# place. **Predict**: which map survives which step?

# %% tags=["folded"]
# @title Drawing: what each step leaks
columns = {"plain": face}
for steps in ("scramble", "shuffle", STEPS[1:], STEPS):
    name = {STEPS: "all three", STEPS[1:]: "shuffle +\nnegative"}.get(steps, steps)
    columns[name] = encrypt(face, make_key(size, p, steps, seed=3))
maps = {"mean brightness": lambda x: x.mean(-1), "distance from grey": lambda x: x.abs().mean(-1)}
with style():
    figure, axes = plt.subplots(3, len(columns), figsize=(8.8, 6.2))
    for column, (name, picture) in zip(axes.T, columns.items()):
        column[0].imshow(picture.movedim(0, -1))
        column[0].set_title(name, loc="center")
        for ax, measure in zip(column[1:], maps.values()):
            here, plain = (measure(to_blocks(normalise(x), p)) for x in (picture, face))  # (N,)
            ax.imshow(here.view(14, 14), cmap="gray")
            ax.set_title(f"r = {correlation(here, plain):.2f}", loc="center", fontweight="normal")
    for ax, name in zip(axes.T.flat, ["picture", *maps] + [""] * 12):
        ax.set(xticks=[], yticks=[], ylabel=name)
        ax.grid(False)
    figure.suptitle("Each step leaks what another one hides", fontweight="bold")

# %% [markdown]
# **Scramble alone** keeps every block whole: colours, skin, cloth, print. **Shuffle alone** keeps brightness
# in its place. With **negatives** the map of brightness fades or turns over, depending on how many
# values the key flips. Its outline often stays, and the distance from grey does not change at all. Once blocks are
# scrambled, both maps look like noise. Even then their numbers have only changed *places*. What stays exactly the same:

# %%
plain, encrypted = ((2 * to_blocks(x, p).int() - 255).abs() for x in (face, secret))  # 255 |x|
same_values = torch.equal(plain.sort(dim=1).values[key.blocks], encrypted.sort(dim=1).values)
print("all three: the values of |x| in each block, sorted:", same_values)
twins = blocks.clone()
twins[100] = twins[7]  # a picture with two equal blocks
new = to_blocks(encrypt(from_blocks(twins, p, size), key), p)[key.blocks.argsort()]
print("all three: equal blocks stay equal:                ", torch.equal(new[100], new[7]))

# %% [markdown]
# The last line is the deepest: one key for all blocks of all pictures. A plain wall gives the same block
# again and again, and two frames of a film differ only where something moved. Cryptographers know the problem
# as electronic codebook mode, and this is weaker still. With AES two blocks that differ in one value look unrelated;
# here they differ in one value. A **black** block even tells the negatives: encrypted, it is 0 where a value was kept and
# 255 where it was turned. How does an attacker know which block is black? Where most pictures have one, it is the block
# that comes most often.

# %%
own = make_key(32, 8, seed=7)  # of 200 pictures of clothes, which stand on black
clothes = load("fashion", train=200, val=0, test=1).train.images
seen, times = to_blocks(encrypt(clothes, own), 8).flatten(0, 1).unique(dim=0, return_counts=True)
right = ((seen[times.argmax()] > 127) == own.flips).sum()
print(f"negatives read off the most frequent encrypted block: {right} of {len(own.flips)}")

# %% [markdown]
# With a fresh order of values for each picture, that would end. But then no one patch embedding would
# fit them all, as you are about to see. The regularity that the ViT needs is the one that an attacker uses.
#
# ## Why a ViT does not mind
#
# A token is a sum: each value of the block, times its own column of the patch embedding $E$. **Predict**: the
# cipher moves three values and turns one negative. What must happen to the columns, so that the sum stays?

# %% tags=["folded"]
# @title Drawing: columns of E move along with their values
COLOURS = ("#0072B2", "#E69F00", "#009E73")  # a colour for each value, and for its column


def token(ax, y, name, values, columns, note, right):
    """One line: values of a block times columns of E, and the token that comes out."""
    ax.text(-0.6, y, name, ha="right", va="center")
    for place, ((v, sign), (c, turned)) in enumerate(zip(values, columns)):
        x = 2.1 * place
        ax.add_patch(plt.Rectangle((x, y - 0.2), 0.4, 0.4, color=COLOURS[v]))
        ax.text(x + 0.2, y, f"{'-' * (sign < 0)}x{'₁₂₃'[v]}".replace("-", "−"), color="white",
                ha="center", va="center", fontweight="bold")  # fmt: skip
        ax.text(x + 0.6, y, "×", ha="center", va="center")
        ax.add_patch(plt.Rectangle((x + 0.8, y - 0.42), 0.34, 0.84, color=COLOURS[c]))
        ax.text(x + 0.97, y, "−" * (turned < 0) + "E" + "₁₂₃"[c], color="white", ha="center",
                va="center", rotation=90, fontweight="bold")  # fmt: skip
        ax.text(x + 1.55, y, "+" if place < 2 else "=", ha="center", va="center", fontsize=13)
    colour = "#222222" if right else "#D55E00"
    ax.text(6.2, y, note, ha="left", va="center", color=colour, fontweight="bold")


order, signs = (2, 0, 1), (1, -1, 1)  # place 1 shows value 3; place 2 value 1, negative; ...
moved = list(zip(order, signs))
straight = [(i, 1) for i in range(3)]
with style():
    figure, ax = plt.subplots(figsize=(9, 3.9))
    token(ax, 2.4, "plain block,\nE", straight, straight, "the token E x", True)
    token(ax, 1.2, "encrypted block,\nE as it was", moved, straight, "another token:\ncolours do not meet", False)  # fmt: skip
    token(ax, 0.0, "encrypted block,\nE′", moved, moved, "the token E x\nagain: − × − = +", True)
    ax.set(xlim=(-2.6, 8.6), ylim=(-0.6, 3))
    ax.axis("off")
    figure.suptitle(
        "Columns move along with their values, and the sum is the same", fontweight="bold"
    )

# %% [markdown]
# That is the proof, in colours. Now with letters. A ViT turns block $x_i$ into the token $E x_i + b + e_i$,
# with $b$ the bias and $e_i$ the position embedding of place $i$. At place $i$ the cipher shows block $s(i)$,
# its values permuted by the matrix $P$, their signs changed by the diagonal matrix $D$ of $\pm 1$.
#
# 1. The encrypted block is $\tilde x_i = D P\, x_{s(i)}$, with $s$ = `key.blocks`, $(P x)_j =
#    x_{\text{pixels}[j]}$, $D_{jj} = -1$ where `key.flips`.
# 2. Choose $E' = E P^{-1} D$ (columns move along) and $e'_i = e_{s(i)}$ (positions move along). As $D D = I$, the new
#    token is $E' \tilde x_i + b + e'_i = E P^{-1} D D P\, x_{s(i)} + b + e_{s(i)} = E x_{s(i)} + b + e_{s(i)}$: the
#    old token $s(i)$.
# 3. So the tokens are the old ones in another order. Attention, layer norm and MLP treat tokens alike
#    wherever they stand (they are permutation **equivariant**), and the class token stays in front: the
#    logits are **the same**.
#
# Kiya et al. (2022, arXiv 2207.05366) transform models in this way. The ViT has to add its positions to the tokens,
# once, and its attention has to see all tokens. With windows (Swin), or relative or rotary
# positions, every layer asks where a token stands, and $e'$ alone does not undo scrambled blocks.

# %% [markdown] tags=["hints"] exercise="03.embedding"
# ### Exercise 3: the embedding that undoes the cipher
#
# Write $E' = E P^{-1} D$ for a weight that is flattened to `(dim, v)`, with $v = c p^2$. The test of a right
# answer: $E'\, (D P x) = E x$ for each block $x$.
#
# <details><summary>Hint 1</summary>
#
# No matrix is needed: multiplying by $P^{-1}$ from the right only reorders the columns of $E$. Value $j$ of
# the encrypted block used to be value `pixels[j]`. Which column of $E$ was made for it? Look at the colours of the
# last line of the figure.
#
# </details>
# <details><summary>Hint 2</summary>
#
# $D$ comes last, so it acts on the *new* columns: turn `flips` into numbers, $+1$ or $-1$, one for each
# column.
#
# </details>


# %% tags=["exercise"] exercise="03.embedding"
def adapt(E, pixels, flips):
    """E (dim, v), pixels int64 (v,), flips bool (v,) to E' (dim, v)."""
    ...  # your code


check("03.embedding", adapt)

# %% [markdown] tags=["solution"] exercise="03.embedding"
# <details><summary>Solution</summary>
#
# ```python
# def adapt(E, pixels, flips):
#     sign = 1 - 2 * flips.to(E.dtype)  # (v,): +1 or -1
#     return E[:, pixels] * sign  # (dim, v)
# ```
#
# The same indexing as for the pictures: columns follow their values.
# `lorakit.encryption.equivariance.adapt_patch_embedding` is this with two reshapes.
#
# </details>

# %% [markdown]
# ## Does it hold?
#
# We need a ViT that can do something. `vit_micro` (pictures of 32 × 32, $p = 8$) was pre-trained on synthetic
# pictures; a short training teaches it clothes, the grey photographs of Fashion-MNIST. **It sees plain images
# only.** A small ConvNet gets the same lesson, for later.

# %%
sizes = {"train": 96, "val": 0, "test": 100} if smoke else {"train": 2000, "val": 0, "test": 1000}
data = load("fashion", **sizes)
torch.manual_seed(0)
vit = apply_method(create_backbone("vit_micro"), "full")
recipe = Experiment(**sizes, method="full").recipe.replace(epochs=1 if smoke else 3)
fit(vit, data.train, recipe, seed=0, device="cpu", progress=False)
convnet = nn.Sequential(
    nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),  # (n, 16, 16, 16)
    nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),  # (n, 32, 8, 8)
    nn.Flatten(), nn.Linear(32 * 8 * 8, 10),
)  # fmt: skip
recipe = Recipe(epochs=1 if smoke else 3, batch_size=64, lr=3e-3)
fit(convnet, data.train, recipe, seed=0, device="cpu", progress=False)
seen = [evaluate(model, data.test, device="cpu")["accuracy"] for model in (vit, convnet)]
print(f"on plain test images: ViT {seen[0]:.1%}, ConvNet {seen[1]:.1%}")

# %% [markdown]
# Now nothing is trained any more. `adapt_to_key` copies the ViT, replaces $E$ by $E'$ and permutes the rows
# of the position embedding; all other weights are the same.

# %%
key32 = make_key(32, 8, seed=1)  # a teaching key, all three steps
reader = adapt_to_key(vit, key32)
other = [n for n, w in vit.state_dict().items() if not torch.equal(w, reader.state_dict()[n])]
print("changed:", other)
x = normalise(data.test.images[:100])  # (100, 3, 32, 32) in [-1, 1]
for dtype in (torch.float32, torch.float64):
    with torch.no_grad():
        on_plain = vit.to(dtype)(x.to(dtype))  # (100, 10)
        on_secret = reader.to(dtype)(encrypt(x.to(dtype), key32))  # (100, 10)
    print(f"{dtype}: logits up to {on_plain.abs().max():.1f}, "
          f"largest difference {(on_plain - on_secret).abs().max():.1e}")  # fmt: skip
vit, reader = vit.float(), reader.float()

# %% [markdown]
# What is left is rounding: with more precise numbers it shrinks, as it should. So encrypted
# pictures have lost **nothing** that this ViT needs. It takes another patch embedding and other
# position rows, no more. To make them this way takes the key. So a solution exists; whether training finds
# one without the key is the question of lesson 04.
#
# ## Who does mind?
#
# **Predict** the accuracy on encrypted test images of the plain ViT; of one with only $E'$; of one with only
# the permuted positions; and of the ConvNet.

# %%
secret_test = Split(encrypt(data.test.images, key32), data.test.labels)
only = {name: adapt_to_key(vit, make_key(32, 8, part, seed=1))  # the same key, parts of it
        for name, part in (("E'", STEPS[1:]), ("e'", "scramble"))}  # fmt: skip
rows = {"ViT, plain images": (vit, data.test), "ViT, E' and e'": (reader, secret_test),
        "ViT, E' only": (only["E'"], secret_test), "ViT, e' only": (only["e'"], secret_test),
        "ViT as it was": (vit, secret_test), "ConvNet, plain images": (convnet, data.test),
        "ConvNet as it was": (convnet, secret_test)}  # fmt: skip
accuracy = {n: 100 * evaluate(m, split, device="cpu")["accuracy"] for n, (m, split) in rows.items()}
with style():
    figure, ax = plt.subplots(figsize=(7.5, 3.4))
    colours = [FROZEN if "plain" in name else TRAINABLE for name in accuracy]
    bars = ax.barh(list(accuracy), list(accuracy.values()), color=colours)
    ax.bar_label(bars, fmt="%.0f", padding=3)
    ax.axvline(10, color="black", linestyle=":", label="guessing", zorder=0)
    ax.invert_yaxis()
    ax.grid(axis="y", visible=False)
    ax.set(xlabel="accuracy in per cent (grey: plain images, blue: encrypted)", xlim=(0, 108))
    ax.legend(loc="lower right")
    ax.set_title("With all three steps, the ViT needs both E' and e'")

# %% [markdown]
# A plain ViT reads encrypted blocks with columns made for another order of values: the second line of the
# coloured figure. Training can teach the layers behind a frozen $E$ to make something of such tokens; lesson 04 measures
# how much.
#
# Why can we not adapt the ConvNet? Its 3 × 3 kernels slide: one set of weights serves all places in a block, and
# windows straddle two blocks. After the shuffle, the values that belong together lie elsewhere, and elsewhere again for
# the next place. *Going further* tests this without any training. A ConvNet can still be *trained* on encrypted pictures
# (AprilPyone and Kiya 2020, arXiv 2010.00801). And a network that starts with a p × p convolution of stride p can be
# adapted like a ViT (Iijima and Kiya 2022, arXiv 2207.11939).
#
# ## Find the silent bug
#
# A colleague serves the model with the usual recipe: bytes come in, ImageNet's mean and standard deviation
# normalise them. Our ViT wants numbers in $[-1, 1]$, so the colleague folds the change of scale into its
# first layer, and does that correctly: on plain images it is as good as before. Then the model is adapted to
# the key, and clients send encrypted bytes.

# %%
mean = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
std = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
served = copy.deepcopy(vit)
with torch.no_grad():  # (x - 0.5) / 0.5 in terms of (x - mean) / std
    weight, bias = served.patch_embed.proj.weight, served.patch_embed.proj.bias
    bias += (weight * (mean - 0.5) / 0.5).sum(dim=(1, 2, 3))  # (dim,)
    weight *= std / 0.5  # (dim, 3, p, p)
served_reader = adapt_to_key(served, key32)


def preprocess(images):
    """uint8 (n, 3, H, W) to float, each colour with ImageNet's mean and standard deviation."""
    return (images.float() / 255 - mean) / std


images, labels = data.test.images, data.test.labels
with torch.no_grad():
    on_plain = served(preprocess(images))  # (n, 10)
    on_secret = served_reader(preprocess(encrypt(images, key32)))  # (n, 10)
right = [(logits.argmax(1) == labels).float().mean() for logits in (on_plain, on_secret)]
print(f"accuracy: plain {right[0]:.1%}, encrypted {right[1]:.1%}")
print(f"largest difference of logits: {(on_plain - on_secret).abs().max():.2f}")

# %% [markdown]
# Nothing is raised, and the accuracy gives hardly an alarm: it moves by less than a point, as it might between two
# runs. The colleague ships it. But look at the last line. What should it say by the proof above, and which of the
# three steps of the cipher could make the difference?
#
# <details><summary>What went wrong</summary>
#
# The cipher acts **before** a normalisation that treats colours differently. The shuffle carries a red value
# into a blue place, where it is normalised with the mean and deviation of blue. And the negative $255 - x$
# becomes $-x$ only if the mean is one half: in general $(1 - x - m) / s = -(x - (1 - m)) / s$, which is off
# by $(1 - 2m) / s$. The derivation needs $\tilde x = D P x$ for the numbers that **reach the model**.
#
# Accuracy is a blunt test. Where you have an identity, test the identity.
#
# Two cures: normalise with mean = std = 0.5 in all colours (`lorakit.normalise`; the images stay bytes), or
# normalise first and encrypt the numbers.
#
# </details>

# %%
with torch.no_grad():
    equal = vit(normalise(images)) - reader(normalise(encrypt(images, key32)))
    after = on_plain - served_reader(encrypt(preprocess(images), key32))
print(f"mean = std = 0.5:        largest difference of logits {equal.abs().max():.1e}")
print(f"normalise, then encrypt: largest difference of logits {after.abs().max():.1e}")

# %% [markdown]
# Which step commutes with which normalisation? The table shows the largest difference between "encrypt, then
# normalise" and "normalise, then encrypt".

# %%
table = {}
choices = {"mean = std = 0.5": (0.5, 0.5), "equal, not 0.5": (0.45, 0.22), "ImageNet": (mean, std)}
for name, (m, s) in choices.items():
    for step in STEPS:
        one = make_key(size, p, step, seed=3)
        before, after = (encrypt(face, one) / 255 - m) / s, encrypt((face / 255 - m) / s, one)
        table.setdefault(name, {})[step] = (before - after).abs().max().item()
pd.DataFrame(table).style.format("{:.1e}")

# %% [markdown]
# Scrambling never minds. Shuffling needs equal numbers for all colours, negatives need a mean of one half.
# With mean = std = 0.5 all three hold; `lorakit` uses nothing else. Pre-trained weights come with their own
# numbers: look them up before you encrypt (`timm.get_pretrained_cfg(name).mean`).
#
# ## Recap: three questions
#
# Open the answer you would give; it tells you whether it holds.
#
# **1. Two blocks of a plain picture are equal. What does the encrypted picture show, after all three steps?**
# <details><summary>Two blocks with the same values, each in an order of its own</summary>✗ The order is the
# same in every block, and so are the negatives. An order for each block would hide the twins, but then no one
# patch embedding would fit them all.</details>
# <details><summary>No trace of it, because the blocks are scrambled</summary>✗ To scramble is to move whole
# blocks. The two stand at other places, and they are still equal.</details>
# <details><summary>Two equal blocks, perhaps at other places</summary>✓ One key serves all blocks. The
# regularity that the ViT needs is the one that an attacker uses.</details>
#
# **2. A ViT has patches of 16 × 16. The cipher shuffles and turns negative in blocks of 8 × 8, and scrambles
# nothing. Does one E′ undo it?**
# <details><summary>Yes: each patch holds four whole blocks, and in all patches the same happens</summary>✓
# One fixed order of a patch's values, and fixed signs, undo it. With scrambled blocks there would be no E′:
# one patch would then hold blocks from all over the picture.</details>
# <details><summary>No: patches and blocks need the same size, or columns and values do not meet</summary>✗
# They meet as long as every patch holds whole blocks of its own, and the same is done to each
# patch.</details>
# <details><summary>Not one: each of the four blocks in a patch needs an E′ of its own</summary>✗ E has a
# column for every value of a patch. So each of the four blocks has columns of its own, in one
# matrix.</details>
#
# **3. The key has all three steps. Somebody publishes E′ next to a model whose E is public. What is lost?**
# <details><summary>Nothing yet: there are far too many orders of the values to try them all</summary>✗ Nobody
# has to try orders. The number of keys bounds the attacker's work from above, and says nothing about the best
# attack.</details>
# <details><summary>The order of the values in a block, and the negatives</summary>✓ Each column of E′ is a
# column of E, up to its sign: compare them. What is left, scrambled blocks, is a jigsaw. Lesson 05 solves
# both.</details>
# <details><summary>The whole key, with the order of the blocks</summary>✗ E′ undoes what happens inside a
# block. The order of the blocks is in the position rows e′, which would give it away as easily.</details>
#
# ## What you can do now
#
# You can write the cipher in three lines of indexing and undo it, count its keys without believing the
# number, name what leaks, and prove in three coloured values that a ViT can read encrypted images without any
# loss.
#
# Next: [lesson 04](04_learning_from_encrypted_images.ipynb) trains on encrypted images without the key, and
# [lesson 05](05_breaking_the_cipher.ipynb) takes the attacker's side.
#
# ## What this does not protect
#
# - **One known picture is enough.** Somebody who has a varied picture in plain and encrypted form reads both
#   permutations and the negatives off it (lesson 05). The size of the key space does not help.
# - **With luck an attacker needs no known picture at all.** Scrambled blocks are a jigsaw, and correlations between
#   values show the order inside a block. Chuman and Kiya (2022, arXiv 2211.02369) restore pictures with blocks *and*
#   pixels shuffled. Lesson 05 makes grey clothes readable from some dozens of encrypted ones, perhaps mirrored or
#   negative. A trainer has thousands.
# - **The adapted model carries the key.** $E'$ next to a public $E$ gives the pixel key by comparing columns,
#   and $e'$ next to $e$ the order of the blocks by comparing rows.
# - **Labels are not encrypted**, nor is the number of pictures, nor which of them are equal.
# - **It is not differential privacy.** The cipher hides what pictures look like from the trainer. What the
#   trained model remembers of any one of them is another question, with other tools.
#
# ## Going further
#
# **Can another first layer take up the cipher?** Take encrypted clothes (shuffle and negative), and ask for the
# **best possible** linear first layer, by least squares, to give what the plain one gave on plain images. $R^2$ is
# the share of the outputs' variance that it explains: 1 is all of it.

# %%
some = normalise(data.train.images[: 60 if smoke else 150]).double()
changed = encrypt(some, make_key(32, 8, STEPS[1:], seed=1))


def explained(inputs, outputs):
    """R² of the best linear map from inputs (m, a) to outputs (m, b), on these very rows."""
    inputs = torch.cat([inputs, torch.ones_like(inputs[:, :1])], dim=1)  # (m, a + 1), with a bias
    rest = outputs - inputs @ torch.linalg.lstsq(inputs, outputs, driver="gelsd").solution  # (m, b)
    return 1 - (rest.square().sum() / (outputs - outputs.mean(0)).square().sum()).item()


E = vit.patch_embed.proj.weight.detach().flatten(1).double()  # (dim, c p²)
plain_blocks, secret_blocks = (to_blocks(x, 8).flatten(0, 1) for x in (some, changed))
print(f"patch embedding, 8 x 8 blocks: R² = {explained(secret_blocks, plain_blocks @ E.T):.3f}")
windows = [nn.functional.unfold(x, 3, padding=1).mT.flatten(0, 1) for x in (some, changed)]
kernels = convnet[0].weight.detach().flatten(1).double()  # (16, 27)
print(f"convolution, 3 x 3 windows:    R² = {explained(windows[1], windows[0] @ kernels.T):.3f}")

# %% [markdown]
# For the patch embedding there is an exact solution, whatever the key: it is $E'$. For the convolution there is
# none: even on the very pictures that it was fitted to, the best kernel explains next to nothing of what the
# plain one gave. It is the first layer that counts, not the name on the box: a ConvNet that *starts* with a
# $p \times p$ convolution of stride $p$ could absorb shuffle and negatives as well. It could not absorb scrambled
# blocks, since its later layers look at neighbours.
#
# <details><summary>Where this comes from: relatives of this cipher</summary>
#
# EtC (encryption then compression) scrambles whole blocks, and turns, flips and
# negates each in its own way, so that JPEG still works (Chuman, Sirichotedumrong and Kiya 2018, arXiv 1811.00236); a ViT can
# learn from such pictures, too (AprilPyone and Kiya 2022, arXiv 2204.07707). SHF, NP
# and FFX change only values in blocks, against adversarial examples (AprilPyone and Kiya 2020, arXiv 2010.00801); FFX
# replaces them. For EtC and FFX no single $E'$ exists: the proof needs one linear map for all blocks. Restricted random permutation
# leaves some places fixed (Horio, Nishikawa and Kiya 2024, arXiv 2408.08529): `fixed_blocks` and `fixed_pixels` of
# `make_key`; lesson 05 breaks the second as fast.
#
# </details>
#
# **★ Open task: a better-hiding cipher for the same ViT.** Add one step that the proof survives, or show that none
# exists of the kind you chose. What counts:
#
# - *a definition* in one line of indexing or arithmetic, with its inverse, tested bit by bit (2 points);
# - *the proof*: which weights of the ViT move along, or which line of the proof fails (3 points);
# - *a measurement* of one thing that leaks less, with the maps above or with one of your own (2 points);
# - *the other side*: what your step costs, and which attack of lesson 05 still works (3 points).

# ---
# jupyter:
#   lorakit:
#     title: Breaking the cipher
#     learn:
#     - recover the key from one known picture, and say when that is not enough
#     - read the pixel key off a published patch embedding, and tell how far this goes with a trained one
#     - put scrambled blocks together again from pictures that share a key
#     - make encrypted pictures readable with the help of two public photographs, and no known picture
#     - test an attack on pictures it has not seen, and against a key that knows nothing
#     needs: Lesson 03 (the cipher, its key, and the patch embedding that undoes it); lesson 04 helps.
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
# The upper row is all that the attacker has: clothes, encrypted in all three steps, with a key of 1,421 bits. The
# middle row is what a program made of it, mirrored, as it cannot know left from right. **No key was known, and no
# picture under it: only that clothes are grey, and what photographs are like. How can that be?**

# %% tags=["parameters"]
preset = "quick"  # smoke: seconds, for tests; quick: what the outputs show

# %% tags=["context"]
import math
import time
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from exercises import check
from scipy.optimize import quadratic_assignment
from scipy.stats import rankdata
from sklearn.datasets import load_sample_images
from sklearn.ensemble import ExtraTreesClassifier

from lorakit import Experiment, Split, decrypt, encrypt, evaluate, load, make_key, train_model
from lorakit.encryption.attacks import (
    match_columns,
    neighbours_right,
    recover_key,
    recover_pixels,
    solve_jigsaw,
)
from lorakit.encryption.attacks.ciphertext_only import correlations, lookalikes
from lorakit.encryption.attacks.jigsaw import solve_costs
from lorakit.encryption.cipher import to_blocks
from lorakit.encryption.equivariance import adapt_patch_embedding
from lorakit.explore import attack_explorer
from lorakit.figures.diagrams import plot_patch_embeddings
from lorakit.figures.style import style
from lorakit.lora.vit import create_backbone

BLUE, ORANGE, GREEN, GREY, PINK = "#0072B2", "#D55E00", "#009E73", "#999999", "#CC79A7"
smoke = preset == "smoke"


def show(rows, title):
    """Rows of pictures, {name: uint8 (N, 3, H, H)}, one below the other."""
    with style():
        n = max(len(pictures) for pictures in rows.values())
        size = (1.5 + 0.95 * n, 0.5 + len(rows))
        figure, axes = plt.subplots(len(rows), n, figsize=size, squeeze=False)
        for line, (name, pictures) in zip(axes, rows.items()):
            for ax, picture in zip(line, pictures):
                ax.imshow(picture.permute(1, 2, 0))  # (H, H, 3)
            for ax in line:
                ax.set(xticks=[], yticks=[], frame_on=False)
            line[0].set_ylabel(name, rotation=0, ha="right", va="center")
        figure.suptitle(title, fontweight="bold")


def opened(pictures, key, guess):
    """The share of secret pictures that a guessed key decrypts exactly."""
    same = decrypt(encrypt(pictures, key), guess) == pictures  # (M, 3, H, H)
    return same.flatten(1).all(dim=1).float().mean().item()


def share_right(pictures, key, guess):
    """The share of their values that it brings back."""
    return (decrypt(encrypt(pictures, key), guess) == pictures).float().mean().item()


def public_photographs():
    """Pieces of two photographs that ship with scikit-learn, uint8 (M, 3, 32, 32)."""
    pieces = []
    for photo in load_sample_images().images:  # (427, 640, 3)
        x = torch.tensor(photo).movedim(-1, 0)[None].float()  # (1, 3, H, W)
        for scale in (0.1, 0.15, 0.2):
            small = F.interpolate(x, scale_factor=scale, mode="area")[0]  # (3, h, w)
            cut = small.unfold(1, 32, 8).unfold(2, 32, 8)  # (3, rows, columns, 32, 32)
            pieces.append(cut.flatten(1, 2).movedim(0, 1))
    return torch.cat(pieces).round().to(torch.uint8)


def grey(images):
    """The mean of the three colours, in all three."""
    return images.float().mean(1, keepdim=True).round().to(torch.uint8).expand_as(images)


clothes = load("fashion", train=400 if smoke else 2000, val=0, test=500)
key = make_key(32, 8, seed=5)  # a teaching key; all three steps, blocks of 8 x 8
pictures = clothes.train.images  # (M, 3, 32, 32)
secret = encrypt(pictures, key)
photographs = public_photographs()

# %% tags=["folded"]
# @title Attack: encrypted pictures in, clothes out
start = time.perf_counter()
starts = 1 if smoke else 8
guess = recover_pixels(secret[:200], grey(photographs), 8, starts=starts)
halfway = decrypt(secret, guess)  # blocks readable, still scrambled
whole = decrypt(halfway, solve_jigsaw(halfway[:100], 8))
show({"encrypted": secret[:9], "recovered": whole[:9], "the truth": pictures[:9]},
     "Clothes, from encrypted pictures alone")  # fmt: skip
seconds = time.perf_counter() - start
print(f"{seconds:.0f} seconds on one core, 200 encrypted pictures, two public photographs")

# %% [markdown]
# In this lesson you are the attacker. You start with more than you should have and give up one help after the
# other: first you choose a picture, then you know one, then you have only a published model, at last only encrypted pictures. At the end you will have
# made the figure above. Before an owner hands out encrypted pictures, the owner should know how that goes.
#
# All pictures here are public, and all keys are teaching keys, made from a seed.
#
# <details><summary>Where this comes from</summary>
#
# None of it is new in kind. That ciphers which only permute fall to a few known pictures is an old result
# (Li et al. 2008, Signal Processing: Image Communication 23); ours turns values negative too, which exercise 2
# undoes. Sirichotedumrong and Kiya (2020, arXiv 2010.06198) compare **ciphertext-only attacks** on ciphers for learning,
# from brute force to generative networks (GANs), and most ciphers did not hold against the GAN. We build none of
# these: where our attacks stop, those may go on. Chuman and Kiya (2022, arXiv 2211.02369) use a jigsaw solver to restore
# pictures whose blocks and pixels are both shuffled. NeuraCrypt, a secret patch encoder, fell too: Carlini et al. (2021,
# arXiv 2108.07256) matched its encoded pictures to the originals.
#
# </details>
#
# ## A picture of your own choice
#
# Suppose you may have pictures of your choice encrypted: you upload one, and see what comes out. This is a
# **chosen-plaintext** attack. Take a picture of a single block, so that there is nothing to scramble.
# Encrypted place $j$ shows the value of plain place `pixels[j]`, or its negative 255 - v where `flips[j]`.
# Choose the plain values so that each tells you where it came from.

# %% [markdown] tags=["hints"] exercise="05.chosen"
# ### Exercise 1: a chosen plaintext
#
# Take a picture whose blocks are all equal: then scrambling changes nothing, and one block tells all. So `ask` encrypts
# blocks: it takes uint8 `(M, 3, p, p)`, and returns them encrypted with one key that you do not know. Write `steal(ask, p)` that returns `pixels`, int64 `(3p²,)`, and `flips`, bool
# `(3p²,)`.
#
# <details><summary>Hint 1</summary>
#
# Without negatives, one picture with the values 0, 1, 2, ... would do: read where each came out. With
# negatives, v and 255 - v look alike, so that one picture can name only 128 places, and there are 192 when
# p = 8. Ask for two.
#
# </details>
# <details><summary>Hint 2</summary>
#
# If all values you send are below 128, whatever comes back above 127 was flipped. Place q can be written as
# `2 * (q // 2) + q % 2`: send `q // 2` in one picture and `q % 2` in the other.
#
# </details>


# %% tags=["exercise"] exercise="05.chosen"
def steal(ask, p):
    """ask: uint8 (M, 3, p, p) to the same encrypted. Returns pixels, flips, both (3 p²,)."""
    ...  # your code


check("05.chosen", steal)

# %% [markdown] tags=["solution"] exercise="05.chosen"
# <details><summary>Solution</summary>
#
# ```python
# def steal(ask, p):
#     place = torch.arange(3 * p * p)
#     sent = torch.stack([place // 2, place % 2]).to(torch.uint8)  # (2, 3 p²)
#     got = ask(sent.view(2, 3, p, p)).view(2, -1).long()  # (2, 3 p²)
#     flips = got[0] > 127
#     half, odd = torch.where(flips, 255 - got, got)
#     return 2 * half + odd, flips
# ```
#
# Two pictures for 1,376 bits. A third one, with all blocks different, gives the order of the blocks.
#
# </details>

# %% [markdown]
# ## A picture you happen to know
#
# More often you cannot choose. But you may know *some* picture in both forms, because somebody published it
# elsewhere, or because it is your own. This is a **known-plaintext** attack. Now blocks are scrambled,
# values shuffled and flipped, all at once, and nothing says which encrypted block belongs to which plain
# one. So start with what the cipher can *not* change. To shuffle is to reorder, to flip is to exchange v
# and 255 - v. What of a block survives both?

# %% [markdown] tags=["hints"] exercise="05.fingerprint"
# ### Exercise 2: a fingerprint
#
# Write `fingerprint(blocks)`: from blocks uint8 `(N, V)` to `(N, anything)`, such that a block has the same
# fingerprint before and after encryption with any key, and blocks that no key turns into each other have different
# ones.
#
# <details><summary>Hint 1</summary>
#
# Deal with the flips first: give v and 255 - v the same name.
#
# </details>
# <details><summary>Hint 2</summary>
#
# Then with the order: what is left of a row when its order must not count? A sum or a mean forgets too
# much.
#
# </details>


# %% tags=["exercise"] exercise="05.fingerprint"
def fingerprint(blocks):
    """uint8 (N, V) to a tensor (N, anything)."""
    ...  # your code


check("05.fingerprint", fingerprint)

# %% [markdown] tags=["solution"] exercise="05.fingerprint"
# <details><summary>Solution</summary>
#
# ```python
# def fingerprint(blocks):
#     return torch.minimum(blocks, 255 - blocks).sort(dim=-1).values
# ```
#
# `min(v, 255 - v)` folds the grey scale in the middle, and sorting forgets the order. No key changes
# either.
#
# </details>

# %% tags=["folded"]
# @title Drawing: blocks, their fingerprints, and who belongs to whom
with style():
    figure, ax = plt.subplots(figsize=(8.6, 4.6))
    sides = {}
    for side, picture in (("plain", pictures[0]), ("encrypted", secret[0])):
        cut = to_blocks(picture, 8)  # (16, 192)
        sides[side] = cut, torch.minimum(cut, 255 - cut).sort(dim=-1).values
    (cut, prints), (other, others) = sides.values()
    chosen = prints.float().std(dim=1).argsort(descending=True)[:5]
    places = (others[None] == prints[chosen, None]).all(-1).float().argmax(1)  # (5,)
    shown = places.sort().values
    for left, line in enumerate((cut[chosen], other[shown])):
        codes = (prints[chosen], others[shown])[left]
        for y, (block, code) in enumerate(zip(line, codes)):
            x = 8.2 * left
            tile = block.view(3, 8, 8).permute(1, 2, 0)  # (8, 8, 3)
            ax.imshow(tile, extent=(x, x + 0.8, 4.1 - y, 4.9 - y), zorder=2)
            x = 1.0 if left == 0 else 6.2
            ax.imshow(code[None], extent=(x, x + 1.8, 4.2 - y, 4.8 - y), aspect="auto",
                      cmap="gray", vmin=0, vmax=127, zorder=2)  # fmt: skip
    for y, place in enumerate(places):
        ax.plot([2.8, 6.2], [4.5 - y, 4.5 - (shown == place).nonzero().item()], color=BLUE, lw=2)
    for x, text in ((0.4, "plain\nblock"), (1.9, "its\nfingerprint"),
                    (7.1, "its\nfingerprint"), (8.6, "encrypted\nblock")):  # fmt: skip
        ax.text(x, 5.05, text, ha="center", va="bottom")
    ax.set(xlim=(-0.1, 9.1), ylim=(0, 5.6), aspect="auto")
    ax.axis("off")
    figure.suptitle("The cipher changes a block and leaves its fingerprint", fontweight="bold")

# %% [markdown]
# Blocks are noise, fingerprints are not. Write the picture as a table: a row for each block, a column for each place
# in a block. Do the same with the encrypted one.
#
# 1. Fingerprints pair the rows: equal ones belong together, and the scrambling is undone.
# 2. Put paired rows side by side. A plain and an encrypted column belong together if they are equal, or if one is the
#    negative of the other.
# 3. Paired columns split rows that looked alike, and those split further columns. Stop when nothing changes.
#
# `lorakit.encryption.attacks.recover_key` takes columns and rows in turn like this, and guesses what is still tied at
# the end. Give it **one** picture.

# %%
start = time.perf_counter()
found = recover_key(pictures[0], secret[0], 8)
print(f"after {time.perf_counter() - start:.2f} s, {found.bits_left:.0f} of 1,421 bits are open")
print(f"other clothes decrypted exactly: {opened(pictures[1:], key, found.key):.0%}")
show(
    {"encrypted": secret[:9], "with the\nrecovered key": decrypt(secret[:9], found.key)},
    "The first picture was known. It opens all the others",
)

# %% [markdown]
# ## How many pictures does it take?
#
# Clothes are grey and have a black margin, and yet one was enough. **Predict**: what about pieces of colour
# photographs? Clothes in black and white only? A plain coloured sheet of paper?
#
# Below, each attacker knows a few pairs, drawn at random, recovers a key from them, and tries it on fifty *other* pictures
# of the same kind. There are twenty draws of each kind and number, and a hundred of a single pair. Each draw has a key
# of its own.


# %%
def black_and_white(images):
    return (images > 127).to(torch.uint8) * 255


generator = torch.Generator().manual_seed(0)
colours = torch.randint(0, 256, (300, 3, 1, 1), generator=generator).to(torch.uint8)
mixed = photographs[torch.randperm(len(photographs), generator=generator)]
kinds = {
    "photographs": mixed,
    "clothes": pictures[:300],
    "clothes in black and white": black_and_white(pictures[:300]),
    "coloured paper": colours.expand(300, 3, 32, 32),
}
measured = []
for kind, images in kinds.items():
    for pairs in (1, 4) if smoke else (1, 2, 4, 8, 16):
        for draw in range(1 if smoke else 100 if pairs == 1 else 20):
            secret_key = make_key(32, 8, seed=draw)
            known = images[torch.randperm(250, generator=generator)[:pairs]]
            result = recover_key(known, encrypt(known, secret_key), 8)
            all_open = opened(images[250:], secret_key, result.key) == 1
            row = {
                "kind": kind,
                "pairs": pairs,
                "all open": all_open,
                "bits left": result.bits_left,
            }
            measured.append(row)
measured = pd.DataFrame(measured).groupby(["kind", "pairs"], sort=False).mean()

# %% tags=["folded"]
# @title Drawing: pictures opened, and bits left
with style():
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.8))
    looks = zip((BLUE, GREEN, ORANGE, GREY, PINK), "osD^v", (13, 10, 7, 4, 8))  # one to spare
    for (kind, rows), (colour, marker, size) in zip(measured.groupby("kind", sort=False), looks):
        rows = rows.droplevel("kind")
        look = {"color": colour, "marker": marker, "markersize": size, "label": kind}
        axes[0].plot(rows.index, 100 * rows["all open"], **look)
        axes[1].plot(rows.index, rows["bits left"], **look | {"markersize": 6})
    axes[0].set(xlabel="known pairs", ylabel="% of draws", ylim=(-4, 106), xscale="log")
    axes[0].set_title("All others open exactly", fontsize=11)
    axes[1].set(xlabel="known pairs", ylabel="bits", xscale="log")
    for ax in axes:
        ax.set_xticks(*2 * [rows.index])
        ax.minorticks_off()
    axes[1].set_title("Bits of the key left to guess", fontsize=11)
    one, four = measured["all open"]["clothes"].loc[[1, 4]]
    title = f"One piece of clothing opens all others in {one:.0%} of draws, four in {four:.0%}"
    figure.suptitle(title, fontweight="bold")
    figure.legend(*axes[1].get_legend_handles_labels(), loc="outside lower center", ncol=4)

# %% [markdown]
# One photograph nearly always decides the whole key. Of the clothes about every second one opens all others; one with
# many black blocks tells too little. A few together do it. The bits that they leave open will explain themselves in a
# moment. In black and white it takes more pictures.
#
# Sheets of coloured paper tell least. They leave about two thirds of the key open, however many you have. They still open
# other sheets, nearly always: all values of one colour are equal there, so their order does not matter.
#
# "It decrypts other pictures" and "the key was found" are two claims. What the first is worth depends on the
# pictures.
#
# **Change one thing.** Add a kind of your own to `kinds`, after the others: `"four greys": pictures[:300] // 64 * 64`.
# Run that cell and the drawing again. How many pictures does it take now?
#
# And how much depends on the key, and on the cipher? A study has asked ten keys and two ciphers
# (`python -m figures.studies.opened`; its table has a row for each key). **Predict**: the course mostly leaves blocks in
# their places, as in the tables of accuracy (`shuffle+negative`). Does that help the attacker?

# %%
study = pd.read_csv(root / "figures/results/opened.csv")
for (cipher, pieces), shares in study.groupby(["cipher", "pieces"])["opened"]:
    by_key = f"{shares.mean():.0%} of cases (by key {shares.min():.0%} to {shares.max():.0%})"
    print(f"{cipher:26}{pieces} known: all others open in {by_key}")

# %% [markdown]
# With scrambled blocks one piece of clothing is enough in about half of the cases, a little more or less by key. With
# blocks in place it is nearly always enough. Two equal blocks of the known picture leave open which of them went where.
# `recover_key` then keeps their order, and that is right if no block has moved.

# %% [markdown] tags=["hints"] exercise="05.bits"
# ### Exercise 3: how many keys are left?
#
# Say that all blocks are matched. Then each plain place has a column of known values, one from every block
# of every known picture. Two places are **tied** if the known pictures cannot tell which is which. Write
# `bits_left(columns)`: from uint8 `(R, V)`, one column for each of V places, to $\log_2$ of the number of
# pixel keys (`pixels` and `flips`) that explain what is known.
#
# <details><summary>Hint 1</summary>
#
# g places that are tied can be put in $g!$ orders. `math.lgamma(g + 1)` is the natural logarithm of $g!$.
#
# </details>
# <details><summary>Hint 2</summary>
#
# A column and its negative are tied as well: a flip would explain the difference. Give both the same name,
# for example the smaller of the two as a tuple, and count names. (No v equals 255 - v: once a place is
# chosen, its flip is known.)
#
# </details>


# %% tags=["exercise"] exercise="05.bits"
def bits_left(columns):
    """uint8 (R, V) to a number."""
    ...  # your code


check("05.bits", bits_left)

# %% [markdown] tags=["solution"] exercise="05.bits"
# <details><summary>Solution</summary>
#
# ```python
# from collections import Counter
#
#
# def bits_left(columns):
#     names = [min(column, [255 - v for v in column]) for column in columns.T.tolist()]
#     tied = Counter(map(tuple, names))
#     return sum(math.lgamma(g + 1) for g in tied.values()) / math.log(2)
# ```
#
# If all columns differ, this is 0: one key is left.
#
# </details>

# %% [markdown]
# In a grey picture, red, green and blue of a pixel are equal, always. So the places are tied in threes, and
# $64 \log_2 3!$ bits stay open, however many pictures are known. They hide nothing, as long as pictures are
# grey:

# %%
print(f"bits left: {found.bits_left:.1f}, and 64 log2(3!) = {64 * math.log2(6):.1f}")
for name, images in (("other clothes", clothes.test.images), ("photographs in colour", mixed)):
    print(f"{name} opened exactly: {opened(images, key, found.key):.0%}")

# %% [markdown]
# **Play.** Give the attacker one picture, and take away its brightness levels (*different values*) one by one. When does
# the attack fail? How many more pictures does it take to win again?

# %%
attack_explorer()

# %% [markdown]
# <details><summary>How low, and how many</summary>
#
# With the clothes and the key that the panel opens with, one picture of eight levels still opens everything. With six
# levels it reads nearly all, and a second picture reads the rest. With two levels, black and white, it takes eight.
#
# </details>
#
# ## Find the silent bug
#
# A colleague reports that a single picture is enough in black and white too.

# %%
known = black_and_white(pictures[:1])
stolen = recover_key(known, encrypt(known, key), 8)
print(f"pictures opened exactly: {opened(known, key, stolen.key):.0%}")
print(f"values right:            {share_right(known, key, stolen.key):.0%}")
print(f"bits left to guess:      {stolen.bits_left:.0f}")

# %% [markdown]
# One hundred percent, says the report. What is wrong with it, and which line gives it away?
#
# <details><summary>What went wrong</summary>
#
# The key was tested on the very picture it was made from. Any of the $2^{\text{bits left}}$ keys that
# explain that picture would pass. It must be tested on pictures the attack has not seen; and those must
# have something to lose: on mostly black pictures a key that knows little gets many *values* right, and on a
# sheet of paper one that knows nothing may open the *picture*. So put a baseline beside it: the same
# numbers for a key drawn at random.
#
# </details>

# %%
others = black_and_white(clothes.test.images)
sheet = torch.zeros(1, 3, 32, 32, dtype=torch.uint8)
only_moved, no_idea = (make_key(32, 8, ("scramble", "shuffle"), seed=i) for i in (5, 123))
for name, images, true, tried in (
    ("stolen key, the known picture", known, key, stolen.key),
    ("stolen key, other pictures", others, key, stolen.key),
    ("random key, other pictures", others, key, make_key(32, 8, seed=123)),
    ("random key, a black sheet, no negatives", sheet, only_moved, no_idea),
):
    exactly, values = opened(images, true, tried), share_right(images, true, tried)
    print(f"{name:40} opened exactly {exactly:4.0%}, values right {values:4.0%}")

# %% [markdown]
# ## A published patch embedding
#
# Now no picture is known, but a model was published. Lesson 03 showed the patch embedding that reads encrypted
# blocks exactly: $E' = E P^{-1} D$, columns permuted by the pixel key and some negative. If $E$ is public too (and
# it is, pre-trained weights are), match columns up to their sign: `match_columns` finds the assignment with the
# largest sum of $|\cos|$.

# %%
public = create_backbone("vit_micro").patch_embed.proj.weight.detach()  # E: (128, 3, 8, 8)
match = match_columns(public, adapt_patch_embedding(public, key))
print(f"places right: {(match.pixels == key.pixels).float().mean():.0%}")
print(f"signs right:  {(match.flips == key.flips).float().mean():.0%}")

# %% [markdown]
# That $E'$ was computed *with* the key. The method of Lin et al. (2025, arXiv 2507.11943) never computes it: it
# **trains** the patch embedding, with LoRA inside the blocks, on encrypted pictures (lesson 04). **Predict**: does
# a trained patch embedding give the key away in the same way?

# %%
few = {"train": 96, "val": 0, "test": 100} if smoke else {"train": 2000, "val": 0, "test": 500}
experiment = Experiment(**few, cipher="shuffle+negative", method="lora+patch")
experiment = experiment.replace(epochs=1 if smoke else 4)
model, trained_key, history = train_model(experiment)
change = model.patch_embed.proj.weight.detach().cpu() - public  # E' - E: (128, 3, 8, 8)
print(f"training accuracy on encrypted pictures, last epoch: {history[-1]['accuracy']:.0%}")
for name, published in (("E'", public + change), ("E' - E", change)):
    match = match_columns(public, published)
    right = (match.pixels == trained_key.pixels).float().mean()
    print(
        f"columns of {name:6} matched to E: {right:.1%} of places right, a guess gives {1 / 192:.1%}"
    )

# %% [markdown]
# The match fails. $E'$ still resembles $E$ where it started, column by column, and so the match says
# "nothing was moved". Is the trained embedding safe, then? Ask another question: read what was learned, $E' - E$, back with
# the key, and look at it as pictures. Then measure how smooth they are, that is, how alike neighbouring values are.

# %%
figure = plot_patch_embeddings(public, public + change, trained_key)

# %% [markdown]
# The third row looks like noise. The key turns it into grey, soft pictures, and none of 200 other keys does. Why so clear?
# The gradient of $E$ is a sum of encrypted blocks, each times the change that its token should have had. So
# each row of $E' - E$ is, up to the optimiser's scaling, a mixture of encrypted blocks, and blocks are smooth once
# the key has put their values back.
#
# A holder of $E'$ can thus *confirm* a key. Can one *find* it, among some $2^{1376}$ (1,184 + 192 bits: no scrambling
# here)? Not yet: wait for the search that sorts pixels by likeness, further down.
#
# ## A jigsaw puzzle
#
# Next attack: neither a known picture nor a model, only encrypted pictures. Begin with block scrambling alone. Then
# each block is readable, and blocks that belong together continue each other across the border.

# %% [markdown] tags=["hints"] exercise="05.border"
# ### Exercise 4: what a border costs
#
# Write `border_cost(blocks)`: from blocks uint8 `(N, 3, p, p)` to `(N, N)`, where entry $[a, b]$ says how badly $b$
# fits as the **right** neighbour of $a$: the sum over rows and colours of the squared step from the last column of
# $a$ to the first column of $b$.
#
# <details><summary>Hint 1</summary>
#
# `blocks[..., -1]` is the last column of every block, `(N, 3, p)`; `blocks[..., 0]` the first. Broadcast one against the
# other: `x[:, None]` and `y[None]`.
#
# </details>
# <details><summary>Hint 2</summary>
#
# Bytes wrap around: 3 - 5 is 254. Make numbers of them first.
#
# </details>


# %% tags=["exercise"] exercise="05.border"
def border_cost(blocks):
    """uint8 (N, 3, p, p) to (N, N): b to the right of a."""
    ...  # your code


check("05.border", border_cost)

# %% [markdown] tags=["solution"] exercise="05.border"
# <details><summary>Solution</summary>
#
# ```python
# def border_cost(blocks):
#     x = blocks.double()
#     steps = x[:, None, :, :, -1] - x[None, :, :, :, 0]  # (N, N, 3, p)
#     return steps.square().sum(dim=(2, 3))
# ```
#
# For the neighbour below, turn the blocks: `border_cost(blocks.mT)`. To solve the photograph of the next cell with
# your own measure (after you have run it):
#
# ```
# pieces = to_blocks(puzzle[0], 8).unflatten(-1, (3, 8, 8))
# costs = torch.stack([border_cost(pieces), border_cost(pieces.mT)])
# neighbours_right(solve_costs(costs, 96, 8), puzzle_key)
# ```
#
# </details>

# %% [markdown]
# `solve_jigsaw` takes a finer measure: it compares the step across a border with the steps just before it
# (Gallagher, CVPR 2012). It grows the picture from its surest neighbours, and swaps blocks while that helps.

# %%
photo = (
    torch.tensor(load_sample_images().images[1]).movedim(-1, 0)[None].float()
)  # (1, 3, 427, 640)
photo = F.interpolate(photo[..., :416, :416], size=(96, 96), mode="area").round().to(torch.uint8)
puzzle_key = make_key(96, 8, "scramble", seed=1)  # 144 blocks
puzzle = encrypt(photo, puzzle_key)
solved = solve_jigsaw(puzzle, 8, starts=2 if smoke else 8)
bits = math.lgamma(145) / math.log(2)
print(f"{neighbours_right(solved, puzzle_key):.0%} of neighbours found; key space {bits:.0f} bits")
with style():
    figure, axes = plt.subplots(1, 3, figsize=(9, 3.3))
    shown = {"scrambled": puzzle, "put together": decrypt(puzzle, solved), "the truth": photo}
    for ax, (name, picture) in zip(axes, shown.items()):
        ax.imshow(picture[0].permute(1, 2, 0))
        ax.set(xticks=[], yticks=[])
        ax.set_title(name, loc="center")

# %% [markdown]
# That was one photograph. Small pictures are harder, for their borders say less, and a black border fits every other
# black border. **Predict**: does it help to have several pictures, all scrambled with the same key?

# %%
measured = []
for name, images in (("photographs", mixed), ("clothes", pictures)):
    for count in (1, 4) if smoke else (1, 2, 4, 8, 16, 32):
        for draw in range(2 if smoke else 8):
            scramble = make_key(32, 8, "scramble", seed=draw)
            some = images[draw * count : (draw + 1) * count]
            found = neighbours_right(solve_jigsaw(encrypt(some, scramble), 8), scramble)
            measured.append({"pictures": name, "count": count, "right": found})
jigsaws = (
    pd.DataFrame(measured).groupby(["pictures", "count"], sort=False)["right"].mean().unstack(0)
)
with style():
    figure, ax = plt.subplots(figsize=(7, 3.2))
    for name, colour, marker in (("photographs", BLUE, "o"), ("clothes", ORANGE, "s")):
        ax.plot(jigsaws.index, 100 * jigsaws[name], marker=marker, color=colour, label=name)
    ax.set(xscale="log", ylim=(0, 104), ylabel="% of neighbours found",
           xlabel="pictures scrambled with one key")  # fmt: skip
    ax.set_xticks(jigsaws.index, [str(count) for count in jigsaws.index])
    ax.minorticks_off()
    ax.legend(loc="lower right")
    ax.set_title("A shared key turns many pictures into one easier puzzle")

# %% [markdown]
# A border that fits by chance in one picture does not fit in eight: the solver simply sums the costs of a
# neighbourhood over pictures. Beyond eight the line of clothes dips a little; eight draws of pictures cannot say why. A
# classifier needs the same key for all, and an attacker wants it.
#
# ## The whole cipher, from encrypted pictures alone
#
# Shuffling destroys the borders, and the jigsaw solver with them. But shuffling has a weakness of its own.
# Two neighbouring pixels hold similar values, so over many blocks they **correlate**. Moving a value moves
# its correlations along; a negative only turns their sign; scrambling blocks does nothing to them. So the
# table of correlations of encrypted pictures is the ordinary table, with rows and columns in a secret
# order:

# %%
public_grey = grey(photographs)  # the attacker knows that clothes are grey
tables = {
    "public photographs": correlations(public_grey, 8),
    "encrypted clothes": correlations(secret[:1000], 8),
    "the same, read with\nthe key that was found": correlations(decrypt(secret[:1000], guess), 8),
}
with style():
    figure, axes = plt.subplots(1, 3, figsize=(9, 3.5))
    for ax, (name, values) in zip(axes, tables.items()):
        ranked = rankdata(abs(values)).reshape(values.shape) / values.size  # (192, 192), 0 to 1
        image = ax.imshow(ranked, cmap="viridis", vmin=0, vmax=1)
        ax.set(xticks=[], yticks=[])
        ax.set_title(name, loc="center", fontsize=10)
    bar = figure.colorbar(image, ax=axes, shrink=0.8, ticks=[0, 1])
    bar.ax.set_yticklabels(["least", "most"])
    bar.set_label("size of correlation", labelpad=-15)
    figure.suptitle(
        "The same pattern in another order: the key's, up to lookalikes", fontweight="bold"
    )

# %% [markdown]
# Clothes correlate less than photographs, so the colours go by rank within each panel: the pattern counts.
#
# To find the order is a *quadratic assignment problem*: permute one table so that it agrees best with the other. Every
# pair of places has to fit, so no place can be decided alone. The problem is hard in general, and SciPy has a good
# heuristic (FAQ, *fast approximate quadratic assignment*: Vogelstein et al. 2015). We try it
# from several random starts. The public pictures need not show the same things, but their statistics have
# to be alike: here two photographs of a flower and a temple, cut up and turned grey, are enough for clothes.
#
# Some things stay hidden this way. A mirrored or turned block has nearly the same correlations, and so has
# one with its colours exchanged, or all of it negative. We count these lookalikes as found, and in grey pictures the
# three places of a pixel as one. **Predict**: how many encrypted pictures does it take?

# %%
alike = lookalikes(8)  # (48, 192): mirrored, turned, recoloured


def pixels_right(found, true):
    """The share of places with the right pixel, whatever its colour, in the best lookalike."""
    return (alike[:, found.pixels] % 64 == true.pixels % 64).float().mean(1).max().item()


keys = [key] if smoke else [key, *(make_key(32, 8, seed=seed) for seed in (6, 7, 8))]
for count in (100,) if smoke else (3, 10, 30, 100):
    shares = []
    for true in keys:
        tried = recover_pixels(encrypt(pictures[:count], true), public_grey, 8, starts=starts)
        shares.append(f"{pixels_right(tried, true):4.0%}")
    print(f"{count:4} encrypted pictures: {', '.join(shares)} of pixels right, a key each")
print(f"a random key:            {pixels_right(make_key(32, 8, seed=123), key):4.0%}")

# %% [markdown]
# Three pictures are too few. Thirty bring back more than nine pixels in ten, a hundred nearly all: each picture holds
# sixteen blocks. Where the share is below 100 %, the search, which starts at random, has ended beside the best order.
#
# With the pixels back, the borders are back, and the jigsaw solver does the rest. That is the figure at the top of
# this lesson. Mind what it claims: some dozens of encrypted clothes are enough to make them *readable*, not to open them
# exactly. They may come out mirrored, upside down or negative. A person reads them all the same, and one glance
# chooses among the lookalikes. And if the attacker finds one original elsewhere, exact to the byte, the known-plaintext
# attack decides the rest of the key.
#
# Does it always work? The public pictures must have statistics like the secret ones. Here are clothes in random colours
# (lesson 04). The attacker holds the photographs from above, or 300 other painted clothes:

# %%
painted = load("painted", train=100 if smoke else 1000, val=0, test=300)
for name, public in (("photographs", photographs), ("painted clothes", painted.test.images)):
    for count in (100,) if smoke else (100, 1000):
        shares = []
        for true in keys[:2]:
            hidden = encrypt(painted.train.images[:count], true)
            tried = recover_pixels(hidden, public, 8, starts=starts)
            shares.append(f"{pixels_right(tried, true):4.0%}")
        print(f"{count:4} painted clothes, with {name}: {', '.join(shares)} of pixels right")

# %% [markdown]
# Photographs do not help any more. Look-alikes help in part, and more with more pictures: where colours are drawn at random, the
# three planes of a picture hardly know of each other, and the search may find one of them and lose the others. One plane
# is enough to see a coat, though. That one attack fails does not make a cipher safe.
#
# ## The same search on the published embedding
#
# One question was left: can a trained patch embedding give its key away? Columns of $E' - E$ are mixtures of encrypted
# blocks, so they are alike where pixels are neighbours. Make a table of these likenesses, $|\cos|$ of each two
# columns, and give it to the same search. **Predict**: how many of 192 places come out within one pixel of the truth?


# %%
def within_one(found, true):
    """The share of places at most one pixel off, in the best lookalike: int64 (192,) each."""
    where = [torch.stack([p % 64 // 8, p % 8]) for p in (alike[:, found], true[None])]
    return ((where[0] - where[1]).abs().amax(dim=0) <= 1).float().mean(dim=1).max().item()


columns = F.normalize(change.flatten(1).double(), dim=0)  # (128, 192)
alike_columns = (columns.T @ columns).abs().numpy()
known_table = abs(tables["public photographs"])  # nothing like clothes
tries = [quadratic_assignment(known_table, alike_columns, options={
             "maximize": True, "P0": "randomized", "rng": np.random.default_rng(n)})
         for n in range(starts)]  # fmt: skip
best = max(tries, key=lambda found: found.fun)
near = within_one(torch.from_numpy(np.argsort(best.col_ind)), trained_key.pixels)
drawn = torch.Generator().manual_seed(0)
chance = [within_one(torch.randperm(192, generator=drawn), trained_key.pixels) for _ in range(100)]
print(f"places within one pixel: {near:.0%}; of 100 random orders the mean is {np.mean(chance):.0%}, "
      f"the best {max(chance):.0%}")  # fmt: skip

# %% [markdown]
# Not the key, but far from nothing: the rough order of the pixels, from a published model and two photographs of other
# things. So do not publish a trained patch embedding: anyone can compare it with the public one that it started from.
# (This was one model and one key. Nobody tried here whether full fine-tuning leaks as much.)
#
# ## Would other keys help?
#
# **Restricted permutations** (Horio et al. 2024, arXiv 2408.08529) leave some places where they are, so that the model
# has less to learn. There are fewer keys. Does the attack become easier?

# %%
for fixed in (0, 96, 180):
    restricted = make_key(32, 8, ("shuffle",), seed=1, fixed_pixels=fixed)
    start = time.perf_counter()
    broken = recover_key(mixed[:1], encrypt(mixed[:1], restricted), 8)
    print(f"{fixed:3} of 192 places fixed: broken in {1000 * (time.perf_counter() - start):.0f} ms "
          f"by one photograph, all decided: {broken.determined}")  # fmt: skip

# %% [markdown]
# All of them fall to one known picture, in about the same time; with more fixed places a casual viewer just sees
# more.
#
# **A key of its own for every picture** is another matter. One known picture then opens only itself, and no
# sums over pictures can be made. But can a model still learn? Position embeddings apart, a transformer does
# not care about the order of its tokens (lesson 03). **Predict** what happens if each picture has its own
# order of *blocks*, and what if each has its own *pixel* key too.

# %%
few = 64 if smoke else 1000


def encrypt_each(images, steps, first):
    """Every picture with a key of its own: new in the steps named, shared in the others."""
    own = [make_key(32, 8, seed=first + i) for i in range(len(images))]
    keys = [replace(key, **{part: getattr(k, part) for part in steps}) for k in own]
    return torch.stack([encrypt(image, k) for image, k in zip(images, keys)])


for name, steps in (
    ("one key for all", ()),
    ("own order of blocks", ("blocks",)),
    ("own blocks, pixels, negatives", ("blocks", "pixels", "flips")),
):
    train = Split(encrypt_each(pictures[:few], steps, 10_000), clothes.train.labels[:few])
    test = Split(encrypt_each(clothes.test.images, steps, 20_000), clothes.test.labels)
    model, _, _ = train_model(
        experiment.replace(cipher="none"), dataset=replace(clothes, train=train)
    )  # encrypted already
    print(f"{name:30} test accuracy {evaluate(model, test)['accuracy']:.1%}")

# %% [markdown]
# With its own order of blocks, a picture is a bag of blocks: the model no longer knows where things are, and still
# learns a good part. But that is no protection. All pictures still share the pixel key, and correlations do not ask for
# the order of blocks. With its own pixel key too, a weight that fits one picture is wrong for the next, and this model
# stays near guessing.
#
# So the secret that *this ViT* needs, one fixed order for all pictures, is the same that the attacks find. Is that a law?
# Exercise 2 says no: a fingerprint does not ask for the key at all. So describe each picture by the fingerprints of its
# blocks, sorted, and learn from those, with a new key for every picture:


# %%
def by_fingerprint(images):
    """Sorted distances from mid-grey in each block, blocks in the order of their means: (M, 16 · 192)."""
    marks = (2 * to_blocks(images, 8).int() - 255).abs().sort(dim=-1).values.float()  # (M, 16, 192)
    order = marks.mean(-1).argsort(dim=1)  # (M, 16)
    return marks.take_along_dim(order[..., None], dim=1).flatten(1).numpy()


trees = ExtraTreesClassifier(300, random_state=0).fit(by_fingerprint(train.images), train.labels)
print(f"from fingerprints: {trees.score(by_fingerprint(test.images), test.labels):.1%}")

# %% [markdown]
# It needs no key, and an attacker can read all that it reads. That is the dilemma: the regularity that helps a model to
# learn also helps an attacker. Networks have been trained with a key for each picture where pixels stay in place and
# only change their values (Sirichotedumrong, Kinoshita and Kiya 2019, IEEE Access 7). That is no way out: learned
# attacks restored such pictures (arXiv 2010.06198).
#
# ## Recap: three questions
#
# Open the answer you would give; it tells you whether it holds.
#
# **1. A report says: “our attack gets 90 % of the values right on black-and-white scans”. What do you ask
# for?**
# <details><summary>The same number for a random key, on scans that the attack has not seen</summary>✓ Where
# there are only two values, a key that knows nothing gets many of them right. What counts is how far the
# attack is above that.</details>
# <details><summary>The number of keys that the attack had to choose from</summary>✗ However many there are,
# it does not say what 90 % of the values is worth on such pictures.</details>
# <details><summary>The same number on the scan that the key was made from, as a check</summary>✗ Every key
# that explains this scan passes that check. It cannot fail, so it says nothing.</details>
#
# **2. One known grey picture leaves 165 bits of the key open. What do these bits still hide?**
# <details><summary>All other pictures: nobody can try so many keys</summary>✗ Nobody has to. Each of the keys
# that are left opens the other grey pictures, so it does not matter which is the right one.</details>
# <details><summary>Of grey pictures nothing; of colour pictures, which value is red, green or blue</summary>✓
# They only say which of three equal values went where. One colour photograph that is known decides them as
# well.</details>
# <details><summary>Nothing at all: each of the keys that are left opens any picture</summary>✗ Any grey
# picture. In a colour picture the three values of a pixel differ, and with the wrong one of these keys they
# come out exchanged.</details>
#
# **3. Every picture gets its own order of blocks; the order of values and the negatives are one for all. What
# is the effect?**
# <details><summary>The model cannot learn any more, for each picture has another key</summary>✗ It loses
# where things are, and still learns a good part from the blocks. With a pixel key for each picture too, this
# model would be left near guessing.</details>
# <details><summary>Attacks on encrypted pictures alone fail, for no two pictures share a key</summary>✗ They
# share the pixel key. Correlations of values inside a block do not ask where the block stands.</details>
# <details><summary>The model learns less, and an attacker still finds the order of the values</summary>✓ What
# all pictures have in common helps both of them: learning and attack add it up over many pictures.</details>
#
# ## What you can do now
#
# You can recover a key from one known picture and say how many keys explain the same pair; put scrambled
# blocks together; and find the order of pixels from correlations alone. You can tell a key that was found
# from one that only fits the picture it was made from.
#
# Next: [lesson 06](06_dp_from_scratch.ipynb), the other privacy, which comes with a proof.
#
# ## What this does not protect
#
# - **Perceptual encryption hides pictures from a casual viewer.** It does not withstand an attacker who knows one
#   varied picture, or who holds the embedding adapted to the key. And an attacker who has some dozens of encrypted grey
#   clothes, and a guess at what they show, makes them readable. The size of the key space proves nothing.
# - **An attack that fails proves nothing either.** Ours found the rough order of pixels in the trained embedding, not
#   the whole key. A better search may come tomorrow.
# - **This is a small world.** Pictures are exact (no JPEG) and small. From encrypted pictures alone we read grey clothes
#   with blocks of 8, and painted ones in part; with blocks of 16 there are 768 places to sort. Lossy compression makes
#   known pairs inexact. This `recover_key` would refuse them; a matching that tolerates errors might not, and nobody tried one here.
# - **It is not differential privacy**, and has nothing to do with it: see the lessons on privacy.
#
# ## Going further
#
# Try the attack on encrypted pictures alone with blocks of 4, on colour photographs, or with clothes as public pictures. Which statistics do
# attacker and owner have to share?
#
# **★ Open task: from a leak to an attack.** The smoothness test confirms a key. Turn it into a search: climb from a
# random key towards smoother filters (swap two places, keep what helps, start again), on the trained $E' - E$ of this
# lesson. What counts:
#
# - *a score* and why it rises for nearly right keys, shown on keys with 10, 50 and 90 % of places right (3 points);
# - *a baseline*: the same search on a patch embedding trained on plain pictures (2 points);
# - *an honest measure*: places right up to lookalikes, over three keys (2 points);
# - *if it fails*, how far from the top your search ended, and what that says about search and about the leak (3 points).

# ---
# jupyter:
#   lorakit:
#     title: Start here
#     learn:
#     - say who sees what when a model is trained on other people's pictures
#     - encrypt real pictures, let a model learn from them and measure what that costs
#     - say which matrix of the model meets the cipher first, and why the paper sets it free
#     - choose between image encryption and differential privacy for a given worry
#     - check that your computer can run the course, and spot a key that changed on the way
#     needs: Python, and a first look at PyTorch (tensors, a training loop). Nothing about privacy.
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
# You have pictures that you may not show to anyone. Somebody else has the computers to train a model. So you
# encrypt every picture with a secret key, and send what the top row of the first picture shows. **A model can learn from
# encrypted pictures. And an attacker who got hold of one picture in both forms read all the others, without the key.
# How can both be true?**
#
# <details><summary>Will the course run on your computer?</summary>
#
# A check stands at the end of this lesson: "Is your computer ready?". Each of its lines should begin with `OK`.
#
# </details>

# %% tags=["parameters"]
preset = "quick"  # smoke: seconds, for tests; quick: what the outputs show

# %% tags=["context"]
import time
from importlib.metadata import PackageNotFoundError, version

import matplotlib.pyplot as plt
import psutil
import torch
from exercises import check
from matplotlib.patches import FancyBboxPatch
from matplotlib.ticker import PercentFormatter
from packaging.requirements import Requirement

from lorakit import (
    Experiment,
    Split,
    apply_method,
    count_parameters,
    create_backbone,
    decrypt,
    encrypt,
    evaluate,
    fit,
    load,
    make_key,
)
from lorakit.encryption.attacks import recover_key
from lorakit.encryption.equivariance import adapt_to_key
from lorakit.experiments.run import encrypt_split
from lorakit.figures.style import METHOD_COLOURS, style
from lorakit.runtime import seed_everything
from lorakit.training.evaluate import predict
from lorakit.training.recipe import Recipe

# %% tags=["folded"]
# @title Drawing: rows of pictures
smoke = preset == "smoke"
sizes = {"train": 64, "val": 8, "test": 60} if smoke else {"train": 2000, "val": 8, "test": 1000}
clothes = load("fashion", **sizes)  # real photographs, ten kinds of clothes


def show(rows, title):
    """Rows of pictures, {name: uint8 (N, 3, H, H)}, one below the other."""
    with style():
        n = len(next(iter(rows.values())))
        figure, axes = plt.subplots(len(rows), n, figsize=(1.8 + 0.9 * n, 0.5 + 0.95 * len(rows)))
        for line, (name, pictures) in zip(axes, rows.items()):
            for ax, picture in zip(line, pictures):
                ax.imshow(picture.permute(1, 2, 0))  # (H, H, 3)
                ax.set(xticks=[], yticks=[], frame_on=False)
            line[0].set_ylabel(name, rotation=0, ha="right", va="center")
        figure.suptitle(title, fontweight="bold")
    return figure


# %% tags=["folded"]
# @title The attack: one picture leaked
secret_key = make_key(32, 8, seed=5)  # the owner's
secret = encrypt(clothes.train.images, secret_key)
start = time.perf_counter()
stolen = recover_key(clothes.train.images[0], secret[0], 8).key  # one picture leaked
seconds = time.perf_counter() - start

hidden, guessed, truth = secret[:9], decrypt(secret[:9], stolen), clothes.train.images[:9]
rows = {"what you send": hidden, "what an attacker\nreads": guessed, "the truth": truth}
solved = "read all the others" if torch.equal(guessed, truth) else "read some of the others"
figure = show(rows, f"One leaked picture was enough to {solved}")
for ax in figure.axes[::9]:  # the first column
    frame = {"transform": ax.transAxes, "fill": False, "clip_on": False}
    ax.add_patch(plt.Rectangle((0, 0), 1, 1, **frame, edgecolor="#D55E00", linewidth=3))
leaked = figure.axes[0].set_title("leaked", color="#B34700", fontsize=10)

# %%
opened = (decrypt(secret, stolen) == clothes.train.images).flatten(1).all(dim=1).sum().item()
print(f"{opened:,} of {len(secret):,} pictures opened exactly, in {1000 * seconds:.0f} ms")

# %% [markdown]
# The attacker had **one** picture in both forms, plain and encrypted, and computed a key that opens them all. How can one
# be enough? The cipher treats all sixteen blocks of a picture alike, so one picture holds sixteen clues to each secret
# move. This pullover was varied enough. About every second piece of clothing here is, and nearly every photograph of
# something else. [Lesson 05](05_breaking_the_cipher.ipynb) builds this attack, and another that needs no known picture.
#
# So is the idea of encrypted pictures worthless? No. Encryption keeps out a casual eye, and
# the way a model copes with it is lovely. But you should know what you get. Now the good part.
#
# ## See it: the trainer's view
#
# The pictures are real: photographs of clothes in ten kinds (Fashion-MNIST; Xiao, Rasul and Vollgraf 2017, [arXiv
# 1708.07747](https://arxiv.org/abs/1708.07747)), 28 × 28 pixels, framed to 32 × 32. The model is a small
# **Vision Transformer** (ViT). It cuts a picture into blocks of 8 × 8 pixels, and so does the cipher.
#
# The cipher has three steps. **Scramble** moves whole blocks. **Shuffle** moves the values inside a block, red, green and
# blue among each other, so that grey clothes turn colourful. **Negative** inverts some of them, as in a photographic
# negative: $v$ becomes $255 - v$. A **key** says what goes where and what is inverted, drawn at random.
#
# The attack above broke all three steps. For learning we leave the blocks in their places, so that one matrix can undo
# the rest.

# %%
key = make_key(32, 8, ("shuffle", "negative"), seed=0)  # for real use, leave the seed out
print(key)  # a key hides its secret even when you print it
names = [clothes.classes[label] for label in clothes.test.labels[:9]]
print("the nine pictures:", ", ".join(names))
shown = clothes.test.images[:9]  # (9, 3, 32, 32)
figure = show({"owner": shown, "trainer": encrypt(shown, key)}, "The trainer sees outlines at most")

# %% [markdown]
# Look at the trainer's row for long enough and you see that it is not random noise. The same shuffle is used in every
# block, so every black block turns into the same tile. A model can hold on to that. An attacker can, too.
#
# Impatient? Encrypt a picture of your own in [lesson 03](03_encrypting_images.ipynb).

# %% [markdown] tags=["hints"] exercise="00.encrypt"
# ### Exercise 1: encrypt a split
#
# A `Split` is a pair of `images`, uint8 of shape (N, 3, H, W), and `labels` of shape (N,). Write the function
# that the data owner runs: it takes a plain split and a key, and returns a new `Split` for the trainer.
#
# <details><summary>Hint 1</summary>
#
# `encrypt(images, key)` encrypts a whole batch of images at once. What about the labels?
#
# </details>
# <details><summary>Hint 2</summary>
#
# `Split(images, labels)` makes a split. The cipher has nothing to do with labels: pass them on as they are,
# in the same order.
#
# </details>


# %% tags=["exercise"] exercise="00.encrypt"
def encrypted(split, key):
    """A plain Split to a Split with encrypted images and the same labels."""
    ...  # your code


check("00.encrypt", encrypted)

# %% [markdown] tags=["solution"] exercise="00.encrypt"
# <details><summary>Solution</summary>
#
# ```python
# def encrypted(split, key):
#     return Split(encrypt(split.images, key), split.labels)
# ```
#
# `lorakit.experiments.run.encrypt_split` does the same, and the cells below use it. The trainer gets the labels in the
# open.
#
# </details>

# %% [markdown]
# ## What the model does first
#
# The very first thing a ViT does with a block of pixels is to multiply it by a matrix, the **patch
# embedding**. Everything later sees only the product. We take a ViT that was
# pre-trained on synthetic pictures (lesson A1), teach a new output layer
# (the **head**) to name *plain* clothes, and then ask three things:
#
# 1. How well does it name plain clothes?
# 2. How well does it name the encrypted ones?
# 3. Now we take the key and move the columns of that one matrix as the cipher moved the pixels, and flip the sign of
#    those it inverted. Nothing is trained. How well does it name the encrypted clothes now?
#
# **Predict** the three numbers. Ten kinds: a blind guess gets 10 %.

# %%
epochs = 1 if smoke else 3


def fine_tune(method, train):
    """A pre-trained ViT, fine-tuned on a split with learning rates that a search found for the method."""
    seed_everything(0)
    model = apply_method(create_backbone("vit_micro", classes=10), method, rank=4)  # of LoRA
    rates = Experiment(method=method, train=len(train)).recipe.lr
    fit(model, train, Recipe(epochs=epochs, lr=rates), progress=False)
    return model


train, test = encrypt_split(clothes.train, key), encrypt_split(clothes.test, key)
plain_model = fine_tune("probe", clothes.train)  # probe: the head alone trains
moved_model = adapt_to_key(plain_model, key)  # a copy with other columns

accuracy = {
    "plain pictures": evaluate(plain_model, clothes.test)["accuracy"],
    "encrypted pictures": evaluate(plain_model, test)["accuracy"],
    "encrypted pictures, columns moved with the key": evaluate(moved_model, test)["accuracy"],
}
for name, value in accuracy.items():
    print(f"{name:46} {value:.1%}")

# %% [markdown]
# First the accuracy is lost; then it returns, to the last digit. One matrix can undo everything that the cipher does to a
# block; [lesson 03](03_encrypting_images.ipynb) proves it. But moving the columns took the key, and the trainer has none.
#
# **The paper's idea** (Lin, Imaizumi and Kiya 2025, [arXiv 2507.11943](https://arxiv.org/abs/2507.11943)): let
# the trainer *learn* that matrix. Freeze the ViT: its numbers stay as they are. Add small trainable updates to its
# matrices; this is **LoRA**, and lesson 01 builds it. And leave the patch embedding free. Nagamori, Shiota and Kiya (2024, [arXiv
# 2401.05126](https://arxiv.org/abs/2401.05126)) compute the patch embedding from the key instead, before training. That
# gives full accuracy, at a price: the trainer can read the key inside the blocks from the matrix (lesson 05).
#
# | method | trains |
# | --- | --- |
# | `probe` | the head |
# | `patch` | the head and the patch embedding |
# | `lora` | the head and LoRA |
# | `lora+patch` | the head, LoRA and the patch embedding: the paper's |

# %% [markdown] tags=["hints"] exercise="00.share"
# ### Exercise 2: how much trains?
#
# `count_parameters(model)` returns a dictionary of counts. Use it to write a function that gives the share of
# the model's parameters that train, between 0 and 1.
#
# <details><summary>Hint 1</summary>
#
# Print `count_parameters(apply_method(create_backbone("vit_micro"), "lora"))` and look at its keys.
#
# </details>
# <details><summary>Hint 2</summary>
#
# A share is a part divided by the whole: which key is the part, and which the whole? `"total"` counts frozen
# parameters too.
#
# </details>


# %% tags=["exercise"] exercise="00.share"
def share(model):
    """The share of a model's parameters that train, 0 to 1."""
    ...  # your code


check("00.share", share)

# %% [markdown] tags=["solution"] exercise="00.share"
# <details><summary>Solution</summary>
#
# ```python
# def share(model):
#     counts = count_parameters(model)
#     return counts["trainable"] / counts["total"]
# ```
#
# Papers often divide by the size of the model before LoRA was added, `counts["total"] - counts["lora"]`. That
# makes the share a little larger, and the check accepts it as well.
#
# </details>

# %% [markdown]
# ## Learn without the key
#
# **Predict**: all four methods now train on the encrypted clothes, with no key. Which comes closest to the
# plain pictures? Does it pay to set the patch embedding free?

# %%
learned, right = {}, {}
for method in ("probe", "patch", "lora", "lora+patch"):
    model = fine_tune(method, train)
    right[method] = (predict(model, test).argmax(dim=1) == test.labels).float()  # 1 or 0, (1000,)
    learned[method] = right[method].mean().item()
    print(f"{method:11}{count_parameters(model)['trainable']:8,} train, {learned[method]:.1%}")

# %% tags=["folded"]
# @title Drawing: seven bars
bars = {name: (value, METHOD_COLOURS["probe"]) for name, value in accuracy.items()}
bars |= {method: (value, METHOD_COLOURS[method]) for method, value in learned.items()}
with style():
    figure, ax = plt.subplots(figsize=(8.6, 3.6))
    places = [0, 1, 2, 4, 5, 6, 7]
    for place, (value, colour) in zip(places, bars.values()):
        ax.barh(place, value, color=colour)
        ax.text(value + 0.015, place, f"{value:.1%}", va="center")
    ax.set_yticks(places, bars)
    ax.vlines((0.1, 0.1), (-0.5, 3.5), (2.5, 7.5), color="black", linestyle="--", linewidth=1)
    ax.text(0, -0.9, "The head alone, trained on plain pictures, tested on", va="center")
    ax.text(0, 3.1, "Trained and tested on encrypted pictures, method", va="center")
    what = f"right, of {len(test):,} test pictures (dashed: a blind guess)"
    ax.set(xlim=(0, 1), ylim=(-1.4, 7.6), xlabel=what)
    ax.xaxis.set_major_formatter(PercentFormatter(1))
    ax.invert_yaxis()
    ax.grid(axis="y", visible=False)
    ax.set_title(f"Without the key all four still learn: {min(learned.values()):.1%} or more")

# %%
lost = accuracy["plain pictures"] - learned["probe"]
print(f"the cipher costs a head that trains alone {100 * lost:.1f} points")
print("a free patch embedding adds, in points")
for more, less in (("patch", "probe"), ("lora+patch", "lora")):
    gain = 100 * (right[more] - right[less])  # of each picture: 100, 0 or -100
    luck = 2 * gain.std() / len(test) ** 0.5  # two standard errors of the mean
    shown = f"{gain.mean():+.1f}, give or take {luck:.1f} with other test pictures"
    print(f"  {more} minus {less}: {shown}")

# %% [markdown]
# What to take from it, and what not:
#
# - **How can both be true?** The cipher does the same to every block of every picture. So what was alike stays alike, and
#   a model needs no more than that. For the same reason one picture can give away the key to all.
# - **The patch embedding is the door.** Given the key, one matrix undoes all that happens inside a block. (Blocks that
#   change places also need the positions moved: lesson 03.) Without the key, the trainer can try to learn that matrix.
# - **It is not the only way in.** Later layers can make up for a wrong door: LoRA does, and even the head alone makes up
#   for most. Does it pay to open the door, then? Here it does, by about three points. But this is one key, one seed, one
#   start. [Lesson 04](04_learning_from_encrypted_images.ipynb) and [lesson 10](10_paper_figures.ipynb) ask again
#   with enough of each, and find where it pays a lot and where it does not.
#
# ## Who is in the story

# %% tags=["folded"]
# @title Drawing: four people
boxes = {  # (x, y): name, what is theirs, colour
    (0, 1): ("Data owner", "has pictures, labels\nand the key", "#0072B2"),
    (2, 1): (
        "Trainer",
        "sees encrypted pictures,\nplain labels, the model;\nmay be curious",
        "#007A5A",
    ),
    (4, 1): ("Model user", "needs the key to\nencrypt a question", "#444444"),
    (2, -0.5): ("Attacker", "takes what is stored, sent or published", "#B34700"),
}
with style():
    figure, ax = plt.subplots(figsize=(9, 3.9))
    for (x, y), (name, what, colour) in boxes.items():
        look = {"boxstyle": "round,pad=0,rounding_size=0.08", "facecolor": colour, "lw": 0}
        ax.add_patch(FancyBboxPatch((x - 0.55, y - 0.17), 1.1, 0.34, **look))
        ax.text(x, y, name, ha="center", va="center", color="white", fontweight="bold")
        ax.text(x, y - 0.24, what, ha="center", va="top", fontsize=10)
    for x, what in ((1, "encrypted pictures,\nplain labels"), (3, "trained\nmodel")):
        arrow = {"arrowstyle": "->", "color": "black", "lw": 1.5}
        ax.annotate("", (x + 0.42, 1), (x - 0.42, 1), arrowprops=arrow)
        ax.text(x, 1.1, what, ha="center", va="bottom", fontsize=10)
        side = 2 + 0.6 * (x - 2)
        look = arrow | {"ls": "--", "color": "#B34700"}
        ax.annotate("", (side, -0.3), (x, 0.94), arrowprops=look)
    bent = {"arrowstyle": "->", "color": "#0072B2", "lw": 1.5, "connectionstyle": "arc3,rad=-0.2"}
    ax.annotate("", (4, 1.2), (0, 1.2), arrowprops=bent)
    ax.text(2, 1.79, "the key", ha="center", va="bottom", fontsize=10, color="#0072B2")
    ax.set(xlim=(-0.9, 4.9), ylim=(-1.0, 2.0))
    ax.axis("off")
    ax.set_title("Three hand-overs: two can be watched, the key must not be")

# %% [markdown]
# **Labels go to the trainer as they are**: nothing in this course hides them. **A user needs the owner's key**, because
# the model reads only pictures encrypted with it. And that key opens all pictures of the owner, and all questions of other users. One user who helps the
# trainer, with the key or with one varied picture in both forms, opens everything. **And anyone who gets a key can study a published model.** Encryption promises nothing about what the
# model remembers.
#
# ## Two tools for two worries
#
# **Perceptual image encryption** is what you just used (lessons 03 to 05). **Differential privacy**, DP, adds
# noise while training, so that no single example leaves much of a trace in the model (lessons 06 to 08).
#
# - Encryption hides **what each picture looks like**, from a trainer without the key. The owner applies it,
#   before sending. It rests on a key that stays secret. One known picture of enough variety breaks it. Without any,
#   some dozens of encrypted grey clothes are enough to make them readable, perhaps mirrored or negative.
# - DP hides **whether any one example was in the training set**, from everyone who sees the model. The
#   trainer applies it, while training. It rests on a proof with a number, $\varepsilon$, and fails if $\varepsilon$
#   was computed wrongly, or if somebody can guess the seed that the noise was drawn from.
# - Encryption gives no $\varepsilon$. DP hides no picture from the trainer. DP costs accuracy, and so does encryption, unless
#   the first layer moves along with the key.
#
# What is $\varepsilon$ (epsilon)? Train twice, with and without Ada's picture. Any model you may get is **at most**
# $e^{\varepsilon}$ times as likely one way as the other, apart from a tiny probability $\delta$: 1.1 times for
# $\varepsilon = 0.1$, 7.4 times for 2. The smaller $\varepsilon$, the more private (Dwork and Roth 2014, [The Algorithmic
# Foundations of Differential Privacy](https://www.cis.upenn.edu/~aaroth/Papers/privacybook.pdf)).

# %% [markdown] tags=["hints"] exercise="00.who"
# ### Exercise 3: which tool helps?
#
# For each worry, write `"encryption"`, `"dp"`, `"both"` (both are needed) or `"neither"`.
#
# - `curious trainer`: a company trains on its own computers. Its staff, who only look and do not attack, should not see what the pictures look
#   like.
# - `published model`: you train at home, on plain pictures, and publish the model. No stranger should be able
#   to tell from it whether Ada's picture was among them.
# - `company publishes`: a company trains **and** publishes the model. Its staff, who only look, should not see the
#   pictures, and strangers should not be able to tell whether Ada's was among them.
# - `labels`: a company trains. It should not learn how many of your pictures are labelled "cancer".
# - `leaked pair`: someone has all encrypted pictures, and one of them in plain form as well. The others
#   should stay hidden.
#
# <details><summary>Hint 1</summary>
#
# Ask first: who is looking, and at what? At the pictures on their way to the trainer, or at the finished
# model?
#
# </details>
# <details><summary>Hint 2</summary>
#
# Read what the drawing writes under the trainer. And think of the first picture of this lesson.
#
# </details>

# %% tags=["exercise"] exercise="00.who"
helps = {
    "curious trainer": ...,  # "encryption", "dp", "both" or "neither"
    "published model": ...,
    "company publishes": ...,
    "labels": ...,
    "leaked pair": ...,
}

check("00.who", helps)

# %% [markdown] tags=["solution"] exercise="00.who"
# <details><summary>Solution</summary>
#
# ```python
# helps = {
#     "curious trainer": "encryption",
#     "published model": "dp",
#     "company publishes": "both",
#     "labels": "neither",
#     "leaked pair": "neither",
# }
# ```
#
# The first two are what each tool is for, the third is both at once: that the model reads only encrypted pictures puts
# no bound on what it remembers. Labels are sent as they are, and DP
# speaks of what the model gives away, not of what the trainer sees. A leaked pair of enough variety
# gives the key away, and with it all pictures.
#
# </details>

# %% [markdown]
# ## Find the silent bug
#
# A colleague has tidied up, so that nobody can forget the key. Nothing raises an error.


# %%
def keep_secret(split):
    """Encrypt a split with a secret key."""
    return Split(encrypt(split.images, make_key(32, 8, ("shuffle", "negative"))), split.labels)


buggy_train, buggy_test = keep_secret(clothes.train), keep_secret(clothes.test)
buggy = fine_tune("probe", buggy_train)
print(f"training images {evaluate(buggy, buggy_train)['accuracy']:6.1%}")
print(f"test images     {evaluate(buggy, buggy_test)['accuracy']:6.1%}")
print(f"the same method a moment ago: {learned['probe']:.1%} of test images")

# %% [markdown]
# Is it overfitting? A bad key? What would you look at first?
#
# <details><summary>What went wrong</summary>
#
# `make_key` is called **inside** the helper, so every call draws a new key: training images are encrypted
# with one, test images with another. A picture encrypted with the wrong key has the right shape and the right
# type, so no error can be raised.
#
# The sister of this bug is to encrypt the training images and forget the test images. It shows in the same
# way.
#
# </details>
#
# The right way: one key, drawn once, handed to everything. And a test worth doing in every project of this
# kind: measure with the right key, with no key and with a wrong key. Only the first should be good; otherwise something
# is wrong.

# %%
other = make_key(32, 8, ("shuffle", "negative"), seed=1)
print("lora+patch, the last of the four models above:")
for name, used in {"the same key": key, "no encryption": None, "another key": other}.items():
    print(f"{name:14}{evaluate(model, encrypt_split(clothes.test, used))['accuracy']:7.1%}")

# %% [markdown]
# How can a model do worse than a blind guess? On pictures that it cannot read it keeps naming the same few kinds, and
# luck decides whether these are right. So the key is also a kind of lock on the model. Do not take that for security
# either: an attacker would not just try keys.
#
# ## The course
#
# - **Small updates**: [01](01_lora_from_scratch.ipynb) How can a few numbers steer a large frozen model?
#   [02](02_adapting_a_vit.ipynb) Which parts of a Vision Transformer should train?
# - **Encrypted pictures**: [03](03_encrypting_images.ipynb) How does a key hide a picture?
#   [04](04_learning_from_encrypted_images.ipynb) What does a model still see?
#   [05](05_breaking_the_cipher.ipynb) How little does an attacker need?
# - **Differential privacy**: [06](06_dp_from_scratch.ipynb) What is $\varepsilon$, and how does noise pay for it?
#   [07](07_private_fine_tuning.ipynb) What does it cost? [08](08_auditing_privacy.ipynb) Can we catch a model
#   that remembers?
# - **All together**: [09](09_explore.ipynb) What happens if I change this? [10](10_paper_figures.ipynb) Does
#   the paper's claim hold here? [A1](A1_pretraining.ipynb) Where do the weights come from?
#   [A2](A2_private_steps.ipynb) What does a private step cost, and can later steps take its noise back?
#
# If you want DP only: 01, 02, then 06 to 08. Every lesson has exercises that check themselves, and a bug to
# find that raises no error.
#
# ## Recap: three questions
#
# Open the answer you would give; it tells you whether it holds.
#
# **1. The key stays secret and nobody breaks the cipher. What does the trainer learn all the same?**
# <details><summary>Nothing but noise: without the key, nobody can use what was sent</summary>✗ The labels are
# not noise. They are sent as they are, and so is the number of pictures.</details>
# <details><summary>How many pictures have each label, perhaps outlines, and the finished model</summary>✓
# Labels are never encrypted here, and the one who trains a model holds it. A block that is the same twice looks
# the same twice: so outlines may show.</details>
# <details><summary>How many pictures have each label, but not the model: only the key opens it</summary>✗ The
# model's weights are plain numbers in the trainer's hands. The key is needed only to ask the model about a
# new picture.</details>
#
# **2. The cipher shuffles values inside blocks and turns some negative. What brings the accuracy on plain
# pictures back, to the last digit?**
# <details><summary>A new head, trained on encrypted pictures: the features are still the same</summary>✗ They
# are not: the patch embedding meets values in places it was not made for. A new head makes up for most of
# that, not for all.</details>
# <details><summary>A free patch embedding, trained on encrypted pictures: it finds the key's order</summary>✗
# It learns to cope: here it won back about half of what the cipher took. But nothing leads it to exactly the
# matrix that undoes the key.</details>
# <details><summary>The old patch embedding, its columns moved by the key and some signs flipped</summary>✓
# One matrix can undo all that happens inside a block. To write it down exactly takes the key, and the trainer
# has none.</details>
#
# **3. A hospital trains on encrypted X-rays and publishes the model. What may it promise?**
# <details><summary>Differential privacy: the model has never seen an X-ray in plain form</summary>✗ A model
# can remember an encrypted picture as well as a plain one. No noise was added, so nothing bounds what it
# remembers.</details>
# <details><summary>That the trainer's staff, who only looked, did not see what the X-rays look
# like</summary>✓ That is what encryption is for, and it is all. It holds against a casual eye, not against an
# attacker.</details>
# <details><summary>That the X-rays stay hidden from all who lack the key, even if one of them
# leaks</summary>✗ One picture of enough variety, in both forms, gives the key away, and with the key all the
# others.</details>
#
# ## What this does not protect
#
# - **The cipher is weak.** You saw it fall to one known picture. A user who gets the key can read everything.
# - **Labels are never encrypted**, in any lesson.
# - **Nothing here was differentially private.** The models of this lesson carry no bound on what they
#   remember of any picture, encrypted or not.
# - **A trainer who cheats** is outside both tools: we assume that the training asked for is the training
#   done.
#
# ## ★ Open task: your own privacy plan
#
# Think of pictures that somebody you know must protect: a doctor, a school, a shop. Write one page.
#
# - **1 point** each: who is the owner, the trainer, the user, the attacker? What does each see?
# - **2 points**: name two worries, and for each the tool that helps, or "neither" with a reason.
# - **2 points**: name one event (a leak, a careless colleague) that breaks the plan, and what it gives away.
# - **1 point**: one sentence that the owner may honestly promise in public.
#
# Read your page again after lesson 08. Which sentence would you change?
#
# ## Is your computer ready?
#
# Each line below should begin with `OK`; the course needs no network and no GPU. The last line is a quick test that the
# shipped weights arrived whole. Nothing is trained for it, so it stays below the trained heads above.


# %%
def report(good, what, advice):
    print(f"{'OK' if good else 'NO'}  {what}" + ("" if good else f"\n    -> {advice}"))


python = sys.version.split()[0]
report(sys.version_info >= (3, 10), f"Python {python}", "install Python 3.10 or later")
shown = ("torch", "timm", "opacus")  # others only if something is wrong with them
for line in (root / "requirements.txt").read_text().splitlines():
    if line.startswith("#"):
        continue
    needed = Requirement(line)
    try:
        found = version(needed.name)
    except PackageNotFoundError:
        found = "0"
    good = needed.specifier.contains(found, prereleases=True)
    if needed.name in shown or not good:
        what = f"{needed.name} {found}, needs {needed.specifier}"
        report(good, what, f"run: pip install '{needed}'")

device = lorakit.runtime.pick_device()
report(True, f"device: {lorakit.runtime.device_name(device)}", "")
free = psutil.virtual_memory().available / 1e9  # GB
report(free > 1.5, f"{free:.1f} GB of memory free, needs 1.5", "close other programs or notebooks")

few = load("fashion", train=500, val=1, test=300)
vit = create_backbone("vit_micro").eval()
with torch.no_grad():
    a, b = (
        vit.forward_head(vit.forward_features(lorakit.normalise(s.images)), pre_logits=True)
        for s in (few.train, few.test)
    )  # (500, 128), (300, 128)
means = torch.stack([a[few.train.labels == c].mean(dim=0) for c in range(10)])  # (10, 128)
right = (torch.cdist(b, means).argmin(dim=1) == few.test.labels).float().mean().item()
report(right > 0.5, f"the shipped weights sort {right:.0%} of 300 clothes", "install lorakit again")

# %% [markdown]
# On Binder the memory shown may be that of the whole machine, while your share is smaller; lessons stay below
# 1.5 GB.
#
# Go on with [lesson 01](01_lora_from_scratch.ipynb). LoRA trained about a hundredth of the model's numbers, and
# came within some three points of the best. How can so few do that?

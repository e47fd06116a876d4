# ---
# jupyter:
#   lorakit:
#     title: Start here
#     learn:
#     - say who sees what when a model is trained on other people's pictures
#     - choose between image encryption and differential privacy for a given worry
#     - check that your computer can run the course
#     - encrypt real pictures, fine-tune on them and measure what that costs
#     - spot training and test images that were not prepared alike
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
# You have pictures that you may not show to anyone. Somebody else has the computers to train a model. Can
# they train on your pictures without seeing them? And once the model exists, what does it tell about the
# pictures it learned from? These are two questions, with two different answers. They are easily mixed
# up, so this lesson takes them apart before anything else.
#
# You will also check that your computer is ready, and see the whole idea once, in about a minute.

# %% tags=["parameters"]
preset = "quick"  # smoke: seconds, for tests; quick: what the outputs show

# %% tags=["context"]
from importlib.metadata import PackageNotFoundError, version

import matplotlib.pyplot as plt
import psutil
import torch
import torch.nn.functional as F
from exercises import check
from packaging.requirements import Requirement

from lorakit import (
    Split,
    apply_method,
    count_parameters,
    create_backbone,
    encrypt,
    evaluate,
    fit,
    load,
    make_key,
)
from lorakit.experiments.learning_rates import LEARNING_RATES
from lorakit.experiments.run import encrypt_split
from lorakit.figures.diagrams import plot_encryption
from lorakit.figures.style import METHOD_COLOURS, style
from lorakit.runtime import seed_everything
from lorakit.training.recipe import Recipe

# %% [markdown]
# ## Who is in the story
#
# Four people, and it pays to give each a name:
#
# - the **data owner** has the pictures, knows their labels and holds the secret key;
# - the **trainer** has the computers and fine-tunes the model, honestly, but looks at whatever arrives;
# - the **model user** asks the finished model what is on a new picture;
# - the **attacker** wants to learn about the owner's pictures, from what is stored, sent or published. The
#   trainer or a user may be the attacker too.

# %%
boxes = {
    (0.0, 1): ("Data owner\npictures, labels, key", "#0072B2"),
    (1.5, 1): ("Trainer\ncomputers, no key", "#009E73"),
    (3.0, 1): ("Model user\na new picture", "#444444"),
    (1.5, 0): ("Attacker\nanything that leaks", "#D55E00"),
}
with style():
    figure, ax = plt.subplots(figsize=(9, 3.2))
    for (x, y), (text, colour) in boxes.items():
        box = {"boxstyle": "round,pad=0.6", "facecolor": colour, "edgecolor": "none"}
        ax.text(x, y, text, ha="center", va="center", color="white", bbox=box)
    for x, what in ((0.75, "encrypted pictures,\nplain labels"), (2.25, "trained\nmodel")):
        solid, dashed = ({"arrowstyle": "->", "color": "black", "ls": ls} for ls in ("-", "--"))
        ax.annotate("", (x + 0.33, 1), (x - 0.28, 1), arrowprops=solid)
        ax.annotate("", ((x + 1.5) / 2, 0.25), (x, 0.95), arrowprops=dashed)
        ax.text(x, 1.15, what, ha="center", va="bottom")
    ax.set(xlim=(-0.6, 3.6), ylim=(-0.25, 1.6))
    ax.axis("off")
    ax.set_title("Two things are handed over, and both can be watched")

# %% [markdown]
# The dashed arrows are where someone may look. Row by row, this is who sees what when pictures are encrypted
# before they leave (the setting of Lin, Imaizumi and Kiya 2025, [arXiv
# 2507.11943](https://arxiv.org/abs/2507.11943)):
#
# | | plain pictures | key | encrypted pictures | labels | trained model |
# | --- | --- | --- | --- | --- | --- |
# | data owner | yes | yes | yes | yes | if the trainer hands it over |
# | trainer | **no** | **no** | yes | **yes** | yes |
# | model user | only their own | needs it, or someone who encrypts for them | only their own | no | its answers, or all of it |
# | attacker | hopes to | hopes to | assume yes | assume yes | assume yes |
#
# Two cells deserve a second look. **Labels go to the trainer as they are**: nothing in this course hides
# them. And a **user needs the owner's key**, because a model that learned from encrypted pictures reads only
# pictures encrypted with the same key. Whoever holds that key can decrypt all the owner's pictures, so it
# cannot be given to just anyone.
#
# ## Two tools for two worries
#
# **Perceptual image encryption** moves the values of a picture to other places and turns some of them
# negative, by a secret key (lesson 03). **Differential privacy**, DP, adds noise while training, so that no
# single example leaves much of a trace in the model (lesson 06).
#
# | | image encryption | differential privacy |
# | --- | --- | --- |
# | hides | what each picture looks like | whether any one example was in the training set |
# | from | whoever trains, without the key | whoever sees the trained model |
# | who applies it | the owner, before sending | the trainer, while training |
# | rests on | a key that stays secret | a proof, with a number, $\varepsilon$ |
# | does not give | an $\varepsilon$, or a bound on what the model memorises | any secrecy of the pictures from the trainer |
# | falls to | one known pair of a plain and an encrypted picture, or many encrypted ones alone (lesson 05) | wrong accounting, a known seed (lessons 06 and 08) |
# | costs | accuracy, unless the right part of the model may adapt (lesson 04) | accuracy, more for a smaller $\varepsilon$ (lesson 07) |
#
# Here $\varepsilon$ (epsilon) says by what factor, $e^{\varepsilon}$, taking one example out of the training
# set can change the probability of any outcome, apart from a tiny probability $\delta$ (Dwork and Roth 2014,
# [The Algorithmic Foundations of Differential
# Privacy](https://www.cis.upenn.edu/~aaroth/Papers/privacybook.pdf)). Small is private.

# %% [markdown] tags=["hints"] exercise="00.who"
# ### Exercise 1: which tool helps?
#
# For each worry, write `"encryption"`, `"dp"`, `"both"` (both are needed) or `"neither"`.
#
# - `curious trainer`: a company trains on its own computers. Its staff, who only look and do not attack, should not see what the pictures look
#   like.
# - `published model`: you train at home, on plain pictures, and publish the model. No stranger should be able
#   to tell from it whether Ada's picture was among them.
# - `company publishes`: a company trains **and** publishes the model. Its staff should not see the pictures,
#   and strangers should not be able to tell whether Ada's was among them.
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
# Read the rows "from" and "falls to" of the table above, and the column "labels" of the table before it.
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
# The first two are what each tool is for, the third is both at once. Labels are sent as they are, and DP
# speaks of what the model gives away, not of what the trainer sees. The leaked pair gives the key away, and
# with it all pictures.
#
# </details>

# %% [markdown]
# ## The course
#
# | lesson | the question it answers |
# | --- | --- |
# | [00 Start here](00_start_here.ipynb) | who sees what, and is my computer ready? |
# | [01 LoRA from scratch](01_lora_from_scratch.ipynb) | how can a few numbers steer a large frozen model? |
# | [02 Adapting a ViT](02_adapting_a_vit.ipynb) | which parts of a Vision Transformer should train? |
# | [03 Encrypting images](03_encrypting_images.ipynb) | how does a key hide a picture? |
# | [04 Learning from encrypted images](04_learning_from_encrypted_images.ipynb) | why must the patch embedding be free to learn? |
# | [05 Breaking the cipher](05_breaking_the_cipher.ipynb) | how little does an attacker need? |
# | [06 DP from scratch](06_dp_from_scratch.ipynb) | what is $\varepsilon$, and how does noise pay for it? |
# | [07 Private fine-tuning](07_private_fine_tuning.ipynb) | what does $\varepsilon$ cost in accuracy, and does LoRA help? |
# | [08 Auditing privacy](08_auditing_privacy.ipynb) | can we catch a model that remembers? |
# | [09 Explore](09_explore.ipynb) | what happens if I change this? |
# | [10 Paper figures](10_paper_figures.ipynb) | does the paper's claim hold here, all of it measured? |
# | [A1 Pre-training the backbone](A1_pretraining.ipynb) | where do the weights we start from come from? |
#
# Lessons 01 to 04 are the paper, 05 is the attack, 06 to 08 are the other privacy. If you want DP only: 01,
# 02, then 06 to 08. Every lesson has small exercises that check themselves, and a bug to find that raises no
# error.
#
# ## Is your computer ready?
#
# The course needs no network and no GPU. Every line should begin with `OK`. The last line is the one that
# matters most: it loads the weights that ship with the course and lets them read letters that they were not
# trained on.


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
letters = load("letters", train=1, val=1, test=300).test
read = evaluate(create_backbone("vit_micro", classes=96), letters)["accuracy"]
report(read > 0.9, f"the shipped weights read {read:.0%} of 300 letters", "install lorakit again")

# %% [markdown]
# On Binder the memory shown may be that of the whole machine, while your share is smaller; lessons stay below
# 1.5 GB.
#
# ## The whole idea in a minute
#
# Real data: 8 × 8 pixel handwritten digits that ship inside scikit-learn, enlarged to 32 × 32. Before you see
# the result, look at what the trainer would get.

# %%
sizes, epochs = ({"train": 64, "val": 8, "test": 60}, 1) if preset == "smoke" else ({}, 3)
digits = load("digits", **sizes)
print(f"{len(digits.train)} training images, {len(digits.test)} test images")
figure = plot_encryption(digits.test.images[:3])

# %% [markdown]
# Columns two to four show each step of the cipher alone: **scramble** moves whole blocks, **shuffle** moves
# the values inside a block, **negative** turns some of them negative. In each you can still make out
# something: which blocks are bright, or an outline. The fifth column has all three. The last two are
# decrypted: with the right key the picture is back exactly, with a wrong one it is not. Blocks are as large
# as the patches that a Vision Transformer (ViT) cuts pictures into, 8 × 8 pixels.
#
# In this lesson we use **shuffle** and **negative** and leave the blocks in their places. A key hides its
# secret even when you print it:

# %%
steps = ("shuffle", "negative")
key = make_key(32, 8, steps, seed=0)  # a seed is for teaching; leave it out for a secret key
print(key)

shown = digits.test.images[:9]  # (9, 3, 32, 32)
with style():
    figure, axes = plt.subplots(2, 1, figsize=(8, 2.3))
    for ax, pictures, who in zip(axes, (shown, encrypt(shown, key)), ("owner", "trainer")):
        framed = F.pad(pictures, (2, 2, 2, 2), value=255)  # (9, 3, 36, 36)
        ax.imshow(torch.cat(list(framed), dim=2).permute(1, 2, 0))  # (36, 9 * 36, 3)
        ax.set_ylabel(who, rotation=0, ha="right", va="center")
        ax.set(xticks=[], yticks=[])
        ax.grid(False)
        ax.spines[:].set_visible(False)
    axes[0].set_title("The trainer cannot read the digits, but flat blocks still look alike")

# %% [markdown]
# Look at the trainer's row for long enough and you see that it is not random noise: blocks that were all
# black look the same everywhere, since every block is treated alike. Keep that in mind for lesson 05.

# %% [markdown] tags=["hints"] exercise="00.encrypt"
# ### Exercise 2: encrypt a split
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
# Now the trainer. The ViT is pre-trained and frozen. `lora` adds a small trainable update, of **rank** 4
# (lesson 01), to two linear maps of every layer, called query and value (lesson 02). `lora+patch` also lets
# the **patch embedding** learn, the first linear map, which turns a block of pixels into a token: the paper's
# idea. Both train a new output layer, the **head**.

# %% [markdown] tags=["hints"] exercise="00.share"
# ### Exercise 3: how much trains?
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
# Papers often divide by the size of the model before LoRA was added. It makes the share a little larger; the
# table of lesson 02 does so too.
#
# </details>

# %%
for method in ("lora", "lora+patch", "full"):
    counts = count_parameters(apply_method(create_backbone("vit_micro"), method, rank=4))
    print(f"{method:11}{counts['trainable']:10,} of {counts['total']:,} parameters train")

# %% [markdown]
# Our ViT is tiny, so the patch embedding is a sizeable share of it. On ViT-B/16, the model of the paper,
# `lora+patch` at rank 4 trains less than one per cent (lesson 02 counts it).
#
# **Predict**: four runs follow, both methods on plain and on encrypted digits. You saw the encrypted
# pictures. What will the accuracy be: near chance (10 %), half of the plain one, or almost the same? And
# which method will suffer more?


# %%
def fine_tune(method, train):
    """A pre-trained ViT, fine-tuned on a split."""
    seed_everything(0)
    model = apply_method(create_backbone("vit_micro", classes=10), method, rank=4)
    fit(model, train, Recipe(epochs=epochs, lr=LEARNING_RATES[method]))
    return model


accuracy, models = {}, {}
for name, used in {"plain": None, "encrypted": key}.items():
    train, test = encrypt_split(digits.train, used), encrypt_split(digits.test, used)
    for method in ("lora", "lora+patch"):
        models[name, method] = fine_tune(method, train)
        accuracy[name, method] = evaluate(models[name, method], test)["accuracy"]
        print(f"{name:10} {method:11} {accuracy[name, method]:.1%}")

# %%
with style():
    figure, ax = plt.subplots(figsize=(7, 3.2))
    for i, (name, method) in enumerate(accuracy):
        value = accuracy[name, method]
        place = i + i // 2  # a gap between plain and encrypted
        ax.barh(place, value, color=METHOD_COLOURS[method])
        ax.text(value - 0.01, place, f"{value:.1%}", ha="right", va="center", color="white")
    ax.set_yticks([0, 1, 3, 4], [f"{method}, {name}" for name, method in accuracy])
    ax.axvline(0.1, color="black", linestyle="--", label="chance")
    ax.set(xlim=(0, 1), xlabel="accuracy on test images")
    ax.invert_yaxis()
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1))
    low = min(accuracy["encrypted", "lora"], accuracy["encrypted", "lora+patch"])
    ax.set_title(f"Encrypted for the eye, yet both models read at least {low:.0%}")

# %% [markdown]
# Here is what to take from it, and what not.
#
# - **A model can learn from pictures that you cannot read.** The cipher moves the values of every block in
#   the same way, so what was regular stays regular. A model needs regularity, not looks.
# - **On these digits the patch embedding buys nothing.** In the run shown `lora` falls further from plain to
#   encrypted than `lora+patch`, yet ends no lower. In so few epochs training it may even cost a little: its
#   learning rates, tuned on harder pictures, are smaller. The digits are grey, smooth and simple, and enough
#   of them comes through a frozen patch embedding that does not fit. On the `street` pictures of lesson 04
#   the gap is wide.
# - **Do not read much into a point or two.** This is one seed and a few hundred test images, where the
#   standard error of an accuracy $p$ over $n$ images is $\sqrt{p(1-p)/n}$, about one point. Lesson 10 has
#   several seeds.
# - That a model can learn from them means that encrypted pictures are **not** free of information. Lesson 05
#   takes that to its end.
#
# ## Find the silent bug
#
# A colleague has tidied up. The helper draws the key itself, so nobody can forget it. No seed: the key is
# secret, as it should be. Nothing raises an error.


# %%
def secret(split):
    """Encrypt a split with a secret key."""
    return Split(encrypt(split.images, make_key(32, 8, steps)), split.labels)


train, test = secret(digits.train), secret(digits.test)
model = fine_tune("lora", train)
print(f"training images {evaluate(model, train)['accuracy']:6.1%}")
print(f"test images     {evaluate(model, test)['accuracy']:6.1%}")

# %% [markdown]
# The same method on the same data did far better a moment ago, and the pictures look as they should. Is it
# overfitting? A bad key? What would you look at first?
#
# <details><summary>What went wrong</summary>
#
# `make_key` is called **inside** the helper, so every call draws a new key: training images are encrypted
# with one, test images with another. For the model the test images come from a world where all values sit in
# other places. No error can be raised: a picture encrypted with the wrong key has the right shape and the
# right type.
#
# The sister of this bug is to encrypt the training images and forget the test images. It shows in the same
# way: training goes well, test accuracy falls to about chance, or below.
#
# </details>
#
# The right way: one key, drawn once, handed to everything. And a test worth doing in every project of this
# kind: measure with the right key, with no key and with a wrong key. Only the first may be good.

# %%
model = models["encrypted", "lora"]  # it learned with one key, the one we called `key`
asked = {"the same key": key, "no encryption": None, "another key": make_key(32, 8, steps, seed=1)}
for name, used in asked.items():
    print(f"{name:14}{evaluate(model, encrypt_split(digits.test, used))['accuracy']:7.1%}")

# %% [markdown]
# So the key is also a kind of lock on the model: asked without it, the model is of little use. Do not take
# that for security either. It was found by trying one wrong key, not by an attacker who thinks.
#
# ## What you can do now
#
# - You can say who sees what: pictures, labels, key and model, for owner, trainer, user and attacker.
# - You can tell which worry calls for encryption, which for differential privacy, and which is met by
#   neither.
# - You have encrypted real pictures, trained on them, and caught a key that changed on the way.
#
# Go on with [lesson 01](01_lora_from_scratch.ipynb), which builds LoRA in a few lines. If you wonder where
# the pre-trained weights come from, see [A1](A1_pretraining.ipynb).
#
# ## What this does not protect
#
# - **The cipher is weak.** It keeps a casual eye out, not an attacker: one known picture of enough variety, or many encrypted ones alone, gives it away (lesson 05). The same goes for a user whom you give the key.
# - **Labels are never encrypted**, in any lesson.
# - **Nothing here was differentially private.** The models of this lesson carry no bound on what they
#   remember of any picture, encrypted or not.
# - **A trainer who cheats** is outside both tools: we assume that the training asked for is the training
#   done.

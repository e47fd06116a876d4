# ---
# jupyter:
#   lorakit:
#     title: Pre-training the backbone
#     learn:
#     - say what the weights that ship with this course have seen, and what not
#     - read the log of a training run, starting from the loss at chance
#     - stop a training run and go on to the same result
#     - measure what pre-training is worth on data it never saw
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
# Every lesson starts from a Vision Transformer (ViT) that can already see a little. Where did it learn that?
# Here it learned on drawn letters, in a run whose log ships beside its weights. You will look at the letters,
# read the log, run a tiny pre-training yourself, and measure what the weights are worth.
#
# The question matters for privacy too. A promise about private data covers the fine-tuning only. What the
# backbone saw before is outside it, so it had better be public.

# %% tags=["parameters"]
preset = "quick"  # smoke: seconds, for tests; quick: what the outputs show

# %% tags=["context"]
import json
import math
from tempfile import TemporaryDirectory

import matplotlib.pyplot as plt
import torch
from exercises import check
from safetensors.torch import load_file
from torch import nn

from lorakit import apply_method, create_backbone, evaluate, fit, load, normalise
from lorakit.data.street import CLEAN, DIGITS, LETTERS, draw
from lorakit.experiments.learning_rates import LEARNING_RATES
from lorakit.experiments.pretrain import RECIPE, pretrain
from lorakit.figures.style import style
from lorakit.lora.backbones import WEIGHTS
from lorakit.runtime import seed_everything
from lorakit.training.optimizer import make_optimizer, make_scheduler
from lorakit.training.recipe import Recipe

BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#999999"
smoke = preset == "smoke"

# %% [markdown]
# ## The letters
#
# `lorakit/data/street.py` draws characters, Latin, Greek and Cyrillic, in twelve fonts that ship inside
# matplotlib: slanted, shifted, between two neighbours that reach into the picture, over a coloured gradient,
# with noise. No download, no photograph, nobody's data.

# %%
letters = load("letters", train=24, val=1, test=100 if smoke else 1000)
print(f"{len(letters.classes)} classes, no digit among them: {not set(LETTERS) & set(DIGITS)}")
with style():
    figure, axes = plt.subplots(2, 12, figsize=(9, 2.1))
    for ax, image, label in zip(axes.flat, letters.train.images, letters.train.labels):
        ax.imshow(image.permute(1, 2, 0))  # (32, 32, 3)
        ax.set_title(letters.classes[label], loc="center")
        ax.axis("off")
    figure.suptitle(f"Some of the {len(letters.classes)} letters", fontweight="bold")

# %% [markdown]
# "Never digits" is easily said, so let us look closer. The capital O looks like a 0, the I like a 1, the B
# like an 8. (The small o and l were left out of the set.) The shipped model has a head for the 96 letters.
# What does it say if we show it digits, drawn in the same way?
#
# **Predict**: which letter will it see in a 0, a 5, a 7?

# %%
backbone = create_backbone("vit_micro", classes=96).eval()  # with its own head
labels = torch.arange(10).repeat_interleave(5 if smoke else 60)  # every digit equally often
images = draw(DIGITS, labels, torch.Generator().manual_seed(0), CLEAN)
with torch.no_grad():
    seen = backbone(normalise(images)).argmax(dim=1).view(10, -1)  # (digits, times)
for digit, row in zip(DIGITS, seen):
    counts = row.bincount(minlength=96)
    shares = counts.sort(descending=True, stable=True)
    best = [f"{LETTERS[i]} {n / len(row):4.0%}" for n, i in zip(*shares) if n][:3]
    print(f"{digit} is taken for  {'   '.join(best)}")

# %% [markdown]
# It never saw a digit with its label, but it knows shapes that come close. So digits are **new classes in a
# familiar world**: the `street` digits of this course have the same fonts and colours, and only rougher
# noise. Keep that in mind when you see how well the weights transfer: private data is seldom that close to
# what is public. The handwritten `digits` are further away.

# %% [markdown] tags=["hints"] exercise="A1.chance"
# ### Exercise 1: the loss at chance
#
# A model that knows nothing gives every one of $K$ classes the probability $1/K$. Cross-entropy is the
# negative natural logarithm of the probability given to the right class. Write the loss of that model as a
# function of $K$. It is the number to compare every first loss with.
#
# <details><summary>Hint 1</summary>
#
# Whatever the right class is, the model gave it the same probability. Which one?
#
# </details>
# <details><summary>Hint 2</summary>
#
# What is $-\log(1/K)$, written more simply? `math.log` is the natural logarithm.
#
# </details>


# %% tags=["exercise"] exercise="A1.chance"
def loss_at_chance(classes):
    """The cross-entropy of a uniform guess among so many classes."""
    ...  # your code


check("A1.chance", loss_at_chance)

# %% [markdown] tags=["solution"] exercise="A1.chance"
# <details><summary>Solution</summary>
#
# ```python
# def loss_at_chance(classes):
#     return math.log(classes)
# ```
#
# For 96 letters about 4.56, for 10 digits 2.30. A first loss far **above** it means a model that is sure and
# wrong.
#
# </details>

# %% [markdown]
# ## The log
#
# `python -m lorakit.experiments.pretrain` made the weights and wrote its settings and history beside them.

# %%
log = json.loads(Path(WEIGHTS).with_suffix(".json").read_text())
names = ("images", "epochs", "batch_size", "lr", "weight_decay", "warmup", "seed", "device")
print("\n".join(f"{name:14}{log[name]}" for name in names))
print(f"{'time':14}{log['seconds'] / 60:.0f} minutes")
print(f"{'result':14}{log['test_accuracy']:.1%} of held-out letters")

# %%
history = log["history"]
epochs = [row["epoch"] for row in history]
with style():
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4))
    for name, colour, label in (("loss", ORANGE, "while training"), ("val_loss", BLUE, "held out")):
        left.plot(epochs, [row[name] for row in history], "o-", color=colour, label=label)
        accuracies = [row[name.replace("loss", "accuracy")] for row in history]
        right.plot(epochs, accuracies, "o-", color=colour, label=label)
    left.axhline(math.log(96), color=GREY, linestyle="--", label="chance")
    right.axhline(1 / 96, color=GREY, linestyle="--")
    left.set(xlabel="epoch", ylabel="cross-entropy", ylim=(0, None))
    right.set(xlabel="epoch", ylabel="accuracy", ylim=(0, 1.03))
    first, second = history[0]["loss"], history[1]["loss"]
    left.set_title(f"Training loss {first:.2f}, one epoch later {second:.2f}")
    right.set_title(f"{log['test_accuracy']:.1%} of test letters in the end")
    left.legend()

# %% [markdown]
# Two points for each epoch. Orange is the mean **over** the epoch, while weights still move; blue is measured
# **after** it, on letters that were not trained on. That is why blue is better than orange at first.
#
# In the first epoch the mean training accuracy is low, much nearer to chance than to the end. In the second
# it leaps. A likely reason: a ViT has hardly any idea of neighbourhoods built in (Dosovitskiy et al. 2020,
# arXiv 2010.11929) and must find out which patches belong together. The log has one row for each epoch, so it
# can not say at which step the leap began. A tiny run, further down, shows the first steps.
#
# In the last epochs orange is a little better than blue: the model begins to know its training letters.
# Held-out letters still gain, so no harm is done. But they come from the **same twelve fonts**: the accuracy
# says nothing about other fonts.

# %% [markdown] tags=["hints"] exercise="A1.steps"
# ### Exercise 2: how many steps?
#
# A learning-rate schedule must know in advance how many steps there will be. lorakit goes through all images
# in every epoch, in batches, and the last batch of an epoch may be smaller. Write the total number of
# optimiser steps.
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
# Rounding once at the end would give too few steps: the smaller last batch comes back in every epoch.
#
# </details>

# %% [markdown]
# With the number of steps the whole schedule is known. The rate rises during the first fifth of the steps
# (**warm-up**, as early gradients can be wild) and then falls along a cosine. Does that agree with the rates
# in the log?

# %%
per_epoch = math.ceil(log["images"] / log["batch_size"])
steps = log["epochs"] * per_epoch
recipe = Recipe(log["epochs"], log["batch_size"], log["lr"], warmup=log["warmup"])
optimizer = make_optimizer(nn.Linear(1, 1), recipe)  # a stand-in: only its rate matters
scheduler = make_scheduler(optimizer, recipe, steps)
rates = []  # the rate at the start, then after every step
for _ in range(steps):
    rates.append(scheduler.get_last_lr()[0])
    optimizer.step()
    scheduler.step()
rates.append(scheduler.get_last_lr()[0])
ends = [row["epoch"] * per_epoch for row in history]
gap = max(abs(rates[end] - row["lr"]) for end, row in zip(ends, history))
print(f"{steps:,} steps; largest difference from the log: {gap:.1e}")
with style():
    figure, ax = plt.subplots(figsize=(7, 2.8))
    ax.plot(rates, color=GREY, label="make_scheduler")
    ax.plot(
        ends, [row["lr"] for row in history], "o", color=BLUE, label="the log, after each epoch"
    )
    ax.set(xlabel="step", ylabel="learning rate")
    ax.set_title(f"One cycle in {steps:,} steps: up for {log['warmup']:.0%}, then down")
    ax.legend()

# %% [markdown]
# ## A tiny pre-training
#
# The real run takes about half an hour on two CPU cores, so here is the same function with fewer letters and
# epochs. It writes the same two files. **Predict** from the plot of the log: what accuracy will it reach?

# %%
folder = TemporaryDirectory()
few_epochs = RECIPE.replace(epochs=2)
tiny = pretrain(
    Path(folder.name) / "tiny.safetensors", images=256 if smoke else 2000, recipe=few_epochs
)
print("files:", ", ".join(sorted(path.name for path in Path(folder.name).iterdir())))
print("on held-out letters")
print(f"chance:  loss {math.log(96):.2f}, accuracy {1 / 96:.1%}")
for row in tiny["history"]:
    print(f"epoch {row['epoch']}: loss {row['val_loss']:.2f}, accuracy {row['val_accuracy']:.1%}")
tiny_steps = 2 * math.ceil(tiny["images"] / tiny["batch_size"])
print(f"{tiny_steps} steps, {tiny_steps / steps:.2%} of the real run")

# %% [markdown]
# Nothing is broken: the same function made the weights. So few steps do not move the loss away from its value
# at chance, and whoever stops here concludes that the code is wrong. Two things help to tell patience from a
# bug: the loss at chance, which you now know, and a problem so small that it must work, such as learning 16
# images by heart.

# %%
few = load("letters", train=16, val=1, test=1).train
seed_everything(0)
model = create_backbone("vit_micro", classes=96, pretrained=False)
recipe = Recipe(epochs=5 if smoke else 60, batch_size=16, lr=1e-3)
learned = fit(model, few, recipe, progress=False)
for row in (learned[0], learned[-1]):
    print(f"epoch {row['epoch']}: loss {row['loss']:.2f}, {row['accuracy']:.0%} of 16 right")

# %% [markdown]
# ## Stop, and go on
#
# Half an hour is long enough for a laptop to be closed. `fit` writes a **checkpoint** after every epoch: the
# weights, and also the state of the optimiser, the place in the schedule and the state of the random
# generator. Without any of these the run would go on, but to another result. Below, a callback stops a run
# inside its second epoch. Called again, it begins that epoch anew.

# %%
some = load("letters", train=64 if smoke else 256, val=1, test=1).train
recipe = Recipe(epochs=3, batch_size=64, lr=1.5e-3, warmup=0.2)
path = Path(folder.name) / "run.checkpoint"


def fresh():
    """A ViT at its random start, the same every time."""
    seed_everything(0)
    return create_backbone("vit_micro", classes=96, pretrained=False)


quiet = {"progress": False}
stopped = fit(
    fresh(), some, recipe, checkpoint=path, callback=lambda step: step.epoch == 2, **quiet
)
print(
    f"stopped with {len(stopped)} finished epoch, checkpoint of {path.stat().st_size / 1e6:.1f} MB"
)
resumed, unbroken = fresh(), fresh()
print(f"went on, {len(fit(resumed, some, recipe, checkpoint=path, **quiet))} epochs in all")
fit(unbroken, some, recipe, **quiet)
pairs = zip(resumed.parameters(), unbroken.parameters())
print(f"largest difference of a weight: {max((a - b).abs().max().item() for a, b in pairs):.1e}")

# %% [markdown]
# On a CPU the difference is zero, to the last bit. (A GPU may add up numbers in another order.) The
# checkpoint is larger than the weights because Adam keeps two more numbers for each of them.
#
# ## What ships
#
# The weights are stored in half precision, 16 bits a number. `pretrain` measures its test accuracy **after**
# the rounding, so the log speaks of the file you have.

# %% [markdown] tags=["hints"] exercise="A1.half"
# ### Exercise 3: the size of the file
#
# Write a function that gives the number of **bytes** that all parameters of a model take in half precision.
#
# <details><summary>Hint 1</summary>
#
# `model.parameters()` gives the tensors, `tensor.numel()` how many numbers are in one. Frozen ones are stored
# as well.
#
# </details>
# <details><summary>Hint 2</summary>
#
# Half precision means 16 bits, and a byte has 8.
#
# </details>


# %% tags=["exercise"] exercise="A1.half"
def bytes_in_half(model):
    """Bytes of all parameters at 16 bits each."""
    ...  # your code


check("A1.half", bytes_in_half)

# %% [markdown] tags=["solution"] exercise="A1.half"
# <details><summary>Solution</summary>
#
# ```python
# def bytes_in_half(model):
#     return 2 * sum(parameter.numel() for parameter in model.parameters())
# ```
#
# A file in safetensors has a few kilobytes more: its header holds name, type and shape of every tensor, and
# no code that runs when it is loaded, as a pickle may.
#
# </details>

# %%
stored = load_file(WEIGHTS)
numbers = sum(tensor.numel() for tensor in stored.values())
print(f"{numbers:,} numbers of type", *{str(tensor.dtype) for tensor in stored.values()})
print(f"{2 * numbers:,} bytes of numbers, {Path(WEIGHTS).stat().st_size:,} bytes of file")
measured = evaluate(backbone, letters.test)
print(
    f"{measured['accuracy']:.1%} of {len(letters.test)} test letters (log: {log['test_accuracy']:.1%})"
)

# %% [markdown]
# ## Is it worth anything?
#
# Now fine-tune on few images of digits, from these weights and from random ones. `probe` trains the head
# only, so it asks: is what the frozen backbone sees of any use here? `full` trains everything.
#
# **Predict**: a random, frozen backbone with a trained head, on ten classes. At chance?

# %%
n, rounds = (64, 1) if smoke else (500, 3)
accuracy = {}
for dataset in ("street", "digits"):
    data = load(dataset, train=n, val=1, test=100 if smoke else 500)
    for start in ("pre-trained", "random"):
        for method in ("probe", "full"):
            seed_everything(0)
            model = create_backbone("vit_micro", classes=10, pretrained=start == "pre-trained")
            apply_method(model, method)
            rate = LEARNING_RATES[method]
            fit(model, data.train, Recipe(epochs=rounds, lr=rate), progress=False)
            accuracy[dataset, start, method] = evaluate(model, data.test)["accuracy"]

# %%
with style():
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.4), sharey=True)
    for ax, dataset in zip(axes, ("street", "digits")):
        for shift, start, colour in ((-0.2, "pre-trained", BLUE), (0.2, "random", ORANGE)):
            values = [accuracy[dataset, start, method] for method in ("probe", "full")]
            bars = ax.bar([shift, 1 + shift], values, width=0.38, color=colour, label=start)
            ax.bar_label(bars, [f"{value:.0%}" for value in values], padding=5)
        ax.axhline(0.1, color=GREY, linestyle="--")
        ax.set_xticks([0, 1], ["probe (head only)", "full"])
        gain = accuracy[dataset, "pre-trained", "probe"] - accuracy[dataset, "random", "probe"]
        ax.set_title(f"{dataset}: {100 * gain:+.0f} points for the probe")
    axes[0].set(ylabel=f"accuracy, {n} training images", ylim=(0, 1.1))
    axes[1].legend(loc="upper left", bbox_to_anchor=(1, 1), title="start")

# %% [markdown]
# From the pre-trained weights a few hundred images are enough. From random ones, `street` stays near chance
# (the dashed line), `digits` does a little better: handwritten digits always stand in the middle on black, so
# even a random view of them keeps something that a head can use. Look also at `probe` and `full` from the
# pre-trained start: with so few images it is not always better to train everything.
#
# This is not a fair race for the random start. Its learning rates were tuned for the pre-trained one, and
# three epochs are few, as you just saw. But that is the point of pre-training: fewer private images, fewer
# steps. Under differential privacy every step costs some privacy, and there it counts double (lesson 07).
#
# ## Public before private
#
# The recipe "pre-train on public data, fine-tune on private data" rests on two conditions.
#
# - **The pre-training data must really be public.** An $\varepsilon$ of fine-tuning bounds what is learned of
#   the private examples **in fine-tuning**. If one of them was in the pre-training data too, the backbone may
#   remember it, and no accountant counts that. Encryption does not help either: the backbone saw it in the
#   plain. Here it is easy, the letters are drawn by a program. With pictures collected from the web it is
#   not: what can be downloaded was not always meant to be learned from (Tramèr, Kamath and Carlini 2022,
#   [arXiv 2212.06470](https://arxiv.org/abs/2212.06470)).
# - **Test data must not be in it.** Otherwise the accuracy measured afterwards is too good. Letters and
#   digits share no class. They do share fonts and a way of drawing, so `street` flatters the method: "public"
#   and "private" are closer here than they usually are, a point the same authors make of common benchmarks.
#
# There is a third, for the cipher: these weights are published, patch embedding included. Lesson 05 shows
# what an attacker gains from that.
#
# ## Find the silent bug
#
# A colleague trained the backbone on several GPUs, saved it, and loads it for a probe on `street`. New
# classes, so the head does not fit and is left out; hence `strict=False`, as in many tutorials. Nothing
# raises an error.

# %%
saved = {f"module.{name}": tensor for name, tensor in stored.items()}  # what DataParallel saves
data = load("street", train=n, val=1, test=100 if smoke else 500)


def probe(weights):
    """Load a backbone without its head, train a new head, return test accuracy."""
    seed_everything(0)
    model = create_backbone("vit_micro", classes=10, pretrained=False)
    no_head = {name: tensor for name, tensor in weights.items() if "head" not in name}
    model.load_state_dict(no_head, strict=False)
    apply_method(model, "probe")
    recipe = Recipe(epochs=rounds, lr=LEARNING_RATES["probe"])
    fit(model, data.train, recipe, progress=False)
    return evaluate(model, data.test)["accuracy"]


print(f"pre-trained backbone, new head: {probe(saved):.0%}")

# %% [markdown]
# Which bar of the last figure does that look like? What does `strict=False` allow, besides a missing head?
# And what does `load_state_dict` return that nobody looked at?
#
# <details><summary>What went wrong</summary>
#
# `DataParallel` puts `module.` in front of every name. So no name in the file fits a name in the model, and
# `strict=False` allows that: **nothing** was loaded, and the probe stands on random weights. The same happens
# with any prefix, and lorakit's own checkpoints have one (`model.`). With `full` fine-tuning and much data
# you might never notice: it learns anyway, only slower and worse.
#
# `load_state_dict` returns the names that were missing and the names that did not fit. The right way is to
# say what may be missing, and to refuse everything else.
#
# </details>

# %%
model = create_backbone("vit_micro", classes=10, pretrained=False)
result = model.load_state_dict(saved, strict=False)
print(f"missing {len(result.missing_keys)} names, unknown {len(result.unexpected_keys)}")

right = {name.removeprefix("module."): tensor for name, tensor in saved.items()}
result = model.load_state_dict({k: v for k, v in right.items() if "head" not in k}, strict=False)
assert set(result.missing_keys) == {"head.weight", "head.bias"} and not result.unexpected_keys
print(f"missing {result.missing_keys}")
print(f"pre-trained backbone, new head: {probe(right):.0%}")
folder.cleanup()

# %% [markdown]
# ## What you can do now
#
# - You know what the backbone has seen: drawn letters in twelve fonts, no digit, and some that look like one.
# - You can read a log: the loss at chance first, then the leap, then the schedule behind it.
# - You can stop a run and go on, and you check what a loader did **not** load.
#
# To make the weights yourself, run `python -m lorakit.experiments.pretrain`; it replaces the shipped file. Go back to
# [the start](00_start_here.ipynb), or on to [lesson 02](02_adapting_a_vit.ipynb), which adapts these weights.
#
# ## What this does not protect
#
# - **Pre-training hides nothing.** It makes private fine-tuning cheaper. What it saw, it may remember, and
#   nobody bounded that.
# - **"Public" is a fact about the data, not a setting in the code.** No function checks it for you.
# - **A small, tidy world.** One renderer made the public and some of the private data. How well weights
#   transfer here says little about photographs.

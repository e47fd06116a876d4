# ---
# jupyter:
#   jupytext:
#     formats: ipynb,source//py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 10 · Paper figures
#
# Can a model learn from pictures that nobody can look at? Lin, Imaizumi and Kiya (2025,
# [arXiv 2507.11943](https://arxiv.org/abs/2507.11943)) say yes, and cheaply: encrypt every picture,
# freeze a pre-trained Vision Transformer (ViT), and train only low-rank adapters (LoRA), the head **and
# the patch embedding**. This notebook runs that experiment, from training to figures.
#
# **You will learn to**
# - run the whole experiment, stop it, and go on where it stopped;
# - say which parts of a ViT each method trains, and how many parameters that is;
# - read from the figures whether the paper's claim holds here;
# - tell what the encryption hides and what it does not.
#
# **Prerequisites** PyTorch basics, and what LoRA is. **Time** about 6 minutes on two CPU cores with the
# `quick` preset; `smoke` takes seconds, `full` about two hours. No network and no GPU needed.
#
# [Back to the README](../README.md)

# %% tags=["setup"]
# Set-up, the same in every notebook: find lorakit beside this notebook, or installed.
import sys
from pathlib import Path

here = Path.cwd()
root = next((p for p in [here, *here.parents] if (p / "lorakit" / "__init__.py").exists()), here)
sys.path.insert(0, str(root))

import lorakit
from lorakit.runtime import device_name, pick_device, versions

print(f"lorakit {lorakit.__version__} on {device_name(pick_device())}; {versions()}")

# %% tags=["parameters"]
preset = "quick"  # smoke, quick or full
datasets = None  # "street", "digits", "street,digits", or None for the preset's own
seeds = None  # number of seeds, or None for the preset's own
out_dir = None  # where figures and tables go; None means figures/ for full, else figures/<preset>

# %%
from IPython.display import Markdown, display

from lorakit import Experiment, grid, sweep, train_model
from lorakit.data import load
from lorakit.pictures import plot_encryption, plot_methods, plot_patch_embeddings
from lorakit.plots import (
    finding,
    plot_accuracy_by_method,
    plot_accuracy_by_parameters,
    plot_accuracy_by_rank,
)
from lorakit.style import save_figure
from lorakit.tables import method_table, save_table
from lorakit.vit import create_backbone

default = root / "figures" if preset == "full" else root / "figures" / preset
out = Path(out_dir) if out_dir else default
experiments = grid(preset, datasets, seeds)
print(f"{len(experiments)} experiments in the {preset} preset")

# %% [markdown]
# ## What trains
#
# Four methods share one pre-trained ViT and differ only in what they may change. `probe` trains the head.
# `lora` adds a low-rank update to the query and value maps of every block (as MeLo does: Zhu et al. 2023,
# arXiv 2311.08236). `lora+patch` is the paper's idea: LoRA, and the patch embedding too. `full` trains
# everything. The counts are made on ViT-B/16 itself, the model of the paper.

# %%
figure = plot_methods()
saved = save_figure(figure, out / "method")
# %% [markdown]
# ## What encryption does
#
# The cipher cuts a picture into blocks the size of the ViT's patches. It may **scramble** the blocks,
# **shuffle** the values inside a block (the same way in each block, colours mixed) and turn some of those
# values **negative**. All three only move values about and flip signs, so the key undoes them exactly.

# %%
pictures = load(experiments[0].dataset, train=3, val=1, test=1).train.images
figure = plot_encryption(pictures)
saved = save_figure(figure, out / "encryption")
# %% [markdown]
# **Predict** before you go on. The patch embedding is a linear map from the values of a block to a token.
# If the values arrive in another order, which of the four methods can still read them as before?
#
# ## Train
#
# Every row of the table is one training run that really happens: draw the data, encrypt training and test
# images with one key, fine-tune, measure on the test images. A run that is in the table already is not run
# again, so you can interrupt this cell and come back.

# %%
rows = sweep(experiments, out / "results" / "results.csv")
minutes = rows["seconds"].sum() / 60
print(f"{len(rows)} runs, {minutes:.0f} CPU minutes, peak {rows['peak_memory_mb'].max():.0f} MB")
print("device:", *rows["device"].unique())

# %% [markdown]
# ## Does it work on encrypted images?
#
# A big marker is the mean; with several seeds, small dots are the seeds and the bar is the 95 % confidence
# interval of the mean (Student's t). A seed changes the start, the order of the images and the key; the
# images stay the same.

# %%
figure = plot_accuracy_by_method(rows)
saved = save_figure(figure, out / "accuracy")
# %%
shown = "shuffle+negative"
for dataset in rows["dataset"].unique():
    display(Markdown("- " + finding(rows, dataset, shown)))

# %% [markdown]
# Without encryption the methods are close: the pre-trained patch embedding already reads plain pictures.
# With the values shuffled it reads noise, and a frozen one stays that way. LoRA sits behind it, in the
# blocks, and gets only what it lets through.
#
# ## How much rank does it need?

# %%
figure = plot_accuracy_by_rank(rows, shown)
saved = save_figure(figure, out / "rank")
# %% [markdown]
# Rank is not what `lora` lacks: at any rank it works behind a patch embedding that does not fit.
#
# ## What does accuracy cost in parameters?

# %%
figure = plot_accuracy_by_parameters(rows, shown)
saved = save_figure(figure, out / "parameters")
# %% [markdown]
# ## Did the patch embedding find the key?
#
# There is one patch embedding that undoes the cipher exactly: the pre-trained one with its columns
# permuted by the key, $E' = E P^{-1} D$ ($E$ the pre-trained weight, $P$ the permutation of the values in
# a block, $D$ the signs). With it, and the rows of the position embedding permuted where blocks are
# scrambled, the logits are those of plain images (`lorakit.adapt_to_key`, tested to 1e-4). Training does
# not know the key. How near did it come by itself?

# %%
best = Experiment(
    **{k: getattr(experiments[0], k) for k in ("dataset", "train", "val", "test", "epochs")}
)
best = best.but(cipher=shown, method="lora+patch", rank=max(e.rank or 0 for e in experiments))
model, key, history = train_model(best)
before = create_backbone(best.backbone, 10).patch_embed.proj.weight.detach()
learned = model.patch_embed.proj.weight.detach().cpu()
figure = plot_patch_embeddings(before, learned, key)
saved = save_figure(figure, out / "embedding")
# %% [markdown]
# A wrong key gives a similarity near zero, so even a modest bar to its right says that training moved the
# patch embedding **towards the key**. This is the reason why it works, and a warning: whoever gets the
# plain and the trained patch embedding can read the key from such likeness.
#
# ## The table

# %%
table = method_table(rows)
saved = save_table(table, out / "results" / "table")
table.style.hide(axis="index")

# %% [markdown]
# ## What you can do now
#
# Run it larger: `papermill notebooks/10_paper_figures.ipynb full.ipynb -p preset full` makes the figures in
# `figures/`. Every row of `results/results.csv` says its settings, seed, device and versions, so a figure
# can be traced to the runs behind it.
#
# How the learning rates were chosen: `python -m lorakit.tune` tries a grid for each method on encrypted
# `street` images and keeps what does best on a **validation** split; those rates serve every cipher, rank
# and data set here. Test images were never used for it (`figures/results/tuning.csv`).
#
# ## What this does not protect
#
# - **The key is weak.** One picture known in plain and encrypted form gives both permutations away, and so
#   does a trained patch embedding next to the public one. Scrambled blocks can be put together like a jigsaw
#   (Chuman and Kiya 2022, arXiv 2211.02369). The size of the key space proves nothing.
# - **It is not differential privacy.** Encryption hides what pictures look like from whoever trains without
#   the key. It says nothing of what the trained model remembers about any one of them.
# - **Labels are not encrypted.**
# - **This is a small world**: a ViT of 1.2 million parameters, pre-trained on drawn letters, with images of
#   32 × 32 pixels. The paper works with ViT-B/16 and natural images; no number here is the paper's.

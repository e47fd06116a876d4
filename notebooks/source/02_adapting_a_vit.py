# ---
# jupyter:
#   lorakit:
#     title: Adapting a Vision Transformer
#     learn:
#     - compute the tokens of a ViT by hand, and show that its patch embedding is one linear map
#     - find query, key and value in timm's fused weight, and draw what a model looks at
#     - add LoRA to chosen maps, and say by name which parameters train in each method
#     - count what trains in ViT-B/16, and compare the methods on real images
#     - catch an optimiser that trains nothing of LoRA
#     needs: LoRA as a layer (lesson 01), and what attention is.
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
# Follow one picture through a **Vision Transformer** (ViT; Dosovitskiy et al. 2020, [arXiv
# 2010.11929](https://arxiv.org/abs/2010.11929)), from pixels to a name. Every box below is real data, with its
# shape. Above the black line is the **class token**: it joins the patches, and the last part, the **head**, reads it
# alone. Only that head has been trained on clothes, and the boot gets its name. **Which of these steps should learn
# when the model is adapted to a new task?**

# %% tags=["parameters"]
preset = "quick"  # smoke: seconds, for tests; quick: what the outputs show

# %% tags=["context"]
import copy

import matplotlib.pyplot as plt
import pandas as pd
import torch
import torch.nn.functional as F
from exercises import check
from matplotlib.ticker import PercentFormatter

from lorakit import (
    Experiment,
    add_lora,
    apply_method,
    count_parameters,
    create_backbone,
    evaluate,
    fit,
    load,
    lora_layers,
    merge_lora,
    normalise,
    remove_lora,
)
from lorakit.encryption.cipher import pictures_to_blocks
from lorakit.figures.diagrams import plot_methods
from lorakit.figures.style import METHOD_COLOURS, METHOD_MARKERS, style
from lorakit.training.recipe import Recipe

smoke = preset == "smoke"

# %% tags=["folded"]
# @title Drawing: the way of a picture through a ViT
sizes = {"train": 64, "val": 1, "test": 60} if smoke else {"train": 2000, "val": 1, "test": 1000}
clothes = load("fashion", **sizes)
images = normalise(clothes.test.images[:8])  # (8, 3, 32, 32), values from -1 to 1
torch.manual_seed(0)
model = apply_method(create_backbone("vit_micro"), "probe")  # 10 classes; the new head alone trains
rates = Experiment(method="probe", train=len(clothes.train)).recipe.lr
fit(model, clothes.train, Recipe(epochs=1 if smoke else 3, lr=rates), progress=False)
model = model.cpu().eval()
boots = (clothes.test.labels == clothes.classes.index("ankle boot")).nonzero().flatten()
with torch.no_grad():
    named = model(normalise(clothes.test.images[boots])).argmax(dim=1)
    right = boots[named == clothes.test.labels[boots]]
    one = (right if len(right) else boots)[0].item()  # the first one that it gets right
    picture = clothes.test.images[one].permute(1, 2, 0)  # (32, 32, 3)
    patches = pictures_to_blocks(normalise(clothes.test.images[one : one + 1]), 8)[0]  # (16, 192)
    tokens = model.patch_embed(normalise(clothes.test.images[one : one + 1]))  # (1, 16, 128)
    into = torch.cat([model.cls_token, tokens], dim=1) + model.pos_embed  # (1, 17, 128)
    out = model.norm(model.blocks(into))  # (1, 17, 128)
    logits = model.head(out[:, 0])  # (1, 10)
with style():
    figure, axes = plt.subplots(1, 5, figsize=(11, 2.7), width_ratios=[1.1, 1.5, 1.5, 1.5, 1])
    axes[0].imshow(picture)
    for edge in (7.5, 15.5, 23.5):
        axes[0].axhline(edge, color="#E69F00")
        axes[0].axvline(edge, color="#E69F00")
    for ax, matrix, cmap in zip(axes[1:4], (patches, into[0], out[0]), ("gray", "PuOr", "PuOr")):
        most = 2.5 * matrix.std().item()
        look = {"vmin": -most, "vmax": most} if cmap == "PuOr" else {}
        ax.imshow(matrix, cmap=cmap, aspect="auto", interpolation="nearest", **look)
    for ax in axes[2:4]:
        ax.axhline(0.5, color="black", lw=1)
    bars = axes[4].barh(range(10), logits[0], color="#555555")
    bars[logits[0].argmax().item()].set_color("#E69F00")
    axes[4].invert_yaxis()
    words = (
        ("picture", "(3, 32, 32)\n"),
        ("16 patches", "(16, 192)\ncut"),
        ("17 tokens", "(17, 128)\n× E, + class token, + position"),
        ("17 tokens, mixed", "(17, 128)\nafter 6 blocks"),
        ("10 logits", "(10)\na trained head"),
    )
    for ax, (name, below) in zip(axes, words):
        ax.set_title(name, loc="center", fontsize=11)
        ax.set(xticks=[], yticks=[])
        ax.set_xlabel(below, fontsize=10)
        ax.grid(False)
    for ax in axes[2:4]:
        ax.set_yticks([0, 8.5], ["class", "patches"], fontsize=9)
    axes[4].set_yticks(range(10), clothes.classes, fontsize=8)
    figure.suptitle("A boot becomes 16 patches, 17 tokens, and a name", fontweight="bold")

# %% [markdown]
# Most of the weights are linear maps. Between them stand, in each block, attention, normalisation and one
# nonlinear function. The usual answer to the question is: LoRA inside the attention, and a new head. Lin, Imaizumi and Kiya (2025, [arXiv
# 2507.11943](https://arxiv.org/abs/2507.11943)) add one more part, the **patch embedding** $E$, the map that
# every pixel has to pass first. In this lesson you take a ViT apart far enough to see why that part is
# special, put LoRA in, count exactly what trains, and compare the methods on real photographs. The
# pictures are plain here; encryption follows in lessons 03 and 04.
#
# ## A picture becomes a sequence
#
# `vit_micro` is a `VisionTransformer` of timm, the library that most vision models come from. It is built
# like ViT-B/16, only smaller: 32 × 32 pixels, patches of 8 × 8, tokens of width 128. It turns each patch into
# one **token**, a vector. In timm the patch embedding is a convolution. Look at its kernel and its stride:

# %%
print(model.patch_embed.proj)

# %% [markdown]
# The kernel is as large as the stride. So the windows do not overlap: each patch is seen once, by itself, and
# all patches by the same weights. Written without a convolution, with a patch flattened into a row $x$ of
# $3 \cdot p^2$ values ($p$: patch size, 3 colours),
#
# $$\text{token} = x E^\top + b, \qquad E: (\text{dim}, 3 p^2).$$

# %% [markdown] tags=["hints"] exercise="02.patches"
# ### Exercise 1: the patch embedding by hand
#
# Compute the tokens with one matrix product, without any convolution. Tokens go along the rows of the
# picture, from the top left, as one reads.
#
# <details><summary>Hint 1</summary>
#
# Two jobs: cut the pictures into patches and flatten them to (N, T, 3 p²), with T patches; then multiply by
# the weight, flattened to (dim, 3 p²). Inside a patch the order must be that of the weight: colour, row,
# column.
#
# </details>
# <details><summary>Hint 2</summary>
#
# `images.reshape(N, 3, H // p, p, W // p, p)` splits the height into (which patch, which row in it) and the
# width likewise.
#
# </details>
# <details><summary>Hint 3</summary>
#
# `permute` brings the two "which patch" axes to the front, behind N, and leaves colour, row, column at the
# end. Then one `reshape` makes (N, T, 3 p²).
#
# </details>


# %% tags=["exercise"] exercise="02.patches"
def embed_patches(images, weight, bias):
    """images (N, 3, H, W), weight (dim, 3, p, p), bias (dim) to tokens (N, T, dim), T = H/p * W/p."""
    ...  # your code


check("02.patches", embed_patches)

# %% [markdown] tags=["solution"] exercise="02.patches"
# <details><summary>Solution</summary>
#
# ```python
# def embed_patches(images, weight, bias):
#     N, C, H, W = images.shape
#     p = weight.shape[-1]
#     x = images.reshape(N, C, H // p, p, W // p, p)  # (N, C, rows, p, columns, p)
#     x = x.permute(0, 2, 4, 1, 3, 5)  # (N, rows, columns, C, p, p)
#     x = x.reshape(N, -1, C * p * p)  # (N, T, C p²)
#     return x @ weight.flatten(1).T + bias  # (N, T, dim)
# ```
#
# A `reshape` alone would tear the picture into runs of pixels; the `permute` is what makes blocks.
#
# </details>

# %% [markdown]
# PyTorch has the cutting built in, as `F.unfold`. With it the proof is three lines:

# %%
patches = F.unfold(images, kernel_size=8, stride=8).mT  # (8, 192, 16) -> (8, 16, 192)
E, b = model.patch_embed.proj.weight.flatten(1), model.patch_embed.proj.bias  # (128, 192), (128)
with torch.no_grad():
    tokens = model.patch_embed(images)  # (8, 16, 128)
    assert torch.allclose(patches @ E.T + b, tokens, atol=1e-5)
print(f"conv = linear: {tuple(patches.shape)} @ {tuple(E.T.shape)} = {tuple(tokens.shape)}")

# %% [markdown]
# Go back to the second box of the drawing: 16 rows of 192 values. If somebody reorders the 192 columns, the same
# for every patch, then a model whose $E$ has its columns reordered alike gives the same tokens. That is why the
# patch embedding can absorb a cipher which shuffles pixels, and it is the subject of lessons 03 and 04.
#
# ## From tokens to logits
#
# Two more learned things join in before the **blocks** (the six layers, each attention and then an **MLP**,
# two linear maps with a nonlinearity between): a **class token**, a vector put in front of the sequence, and
# a **position embedding**, a vector added to each token. After the blocks, the head reads the class token
# alone. By hand:

# %%
with torch.no_grad():
    first = model.cls_token.expand(len(images), -1, -1)  # (8, 1, 128)
    x = torch.cat([first, tokens], dim=1) + model.pos_embed  # (8, 17, 128)
    x = model.norm(model.blocks(x))  # (8, 17, 128)
    assert torch.allclose(model.head(x[:, 0]), model(images), atol=1e-4)
print("the same logits as model(images)")

# %% [markdown]
# **Predict**: leave the position embedding out, and hand the patches over in random order. What happens to
# the logits?


# %%
def logits_of(tokens, position):
    """tokens (N, T, 128) and a position embedding (1, T + 1, 128) to logits (N, 10)."""
    x = torch.cat([model.cls_token.expand(len(tokens), -1, -1), tokens], dim=1) + position
    return model.head(model.norm(model.blocks(x))[:, 0])


order = torch.randperm(16, generator=torch.Generator().manual_seed(0))
for name, position in {"without": 0 * model.pos_embed, "with": model.pos_embed}.items():
    with torch.no_grad():
        change = logits_of(tokens[:, order], position) - logits_of(tokens, position)
    print(f"{name} positions, the largest change of a logit is {change.abs().max().item():.1e}")

# %% [markdown]
# Without positions: nothing, up to rounding. Blocks treat a sequence as a set; only the position embedding
# knows what was where. That matters as soon as a cipher moves whole patches about.
#
# ## Query, key and value in one matrix
#
# In each block, attention makes three vectors of every token: **query**, **key** and **value**. A token's query
# is compared with every key; the better they fit, the more of that token's value it takes. This happens four times side
# by side, in four *attention heads* (no relatives of the head that gives the logits). LoRA is
# usually given to the query and the value map. But timm has no such layers. It keeps the three in one
# `nn.Linear`, because one large product is faster than three small ones:

# %%
attention = model.blocks[0].attn
print("qkv:", attention.qkv, "\nproj:", attention.proj)
print("mlp:", model.blocks[0].mlp.fc1, model.blocks[0].mlp.fc2)

# %% [markdown] tags=["hints"] exercise="02.qkv"
# ### Exercise 2: three maps in one
#
# Take the fused weight apart: return the weights of query, key and value, in this order.
#
# <details><summary>Hint 1</summary>
#
# A linear map's weight is (out, in). All three maps read the same inputs. So along which axis do they stand
# side by side?
#
# </details>
# <details><summary>Hint 2</summary>
#
# `tensor.chunk(3)` cuts along the first axis into three equal parts.
#
# </details>


# %% tags=["exercise"] exercise="02.qkv"
def split_qkv(weight):
    """The fused weight (3 dim, dim) to the weights of query, key and value, each (dim, dim)."""
    ...  # your code


check("02.qkv", split_qkv)

# %% [markdown] tags=["solution"] exercise="02.qkv"
# <details><summary>Solution</summary>
#
# ```python
# def split_qkv(weight):
#     query, key, value = weight.chunk(3)  # rows 0 to dim, dim to 2 dim, 2 dim to 3 dim
#     return query, key, value
# ```
#
# Whether an order is query, key, value or another is a convention of the library. Check it before you rely on
# it.
#
# </details>

# %% [markdown]
# Here is that check: attention by hand from the three slices, against timm's own. A slice of the output is a
# slice of the rows.

# %%
x = torch.randn(2, 17, 128, generator=torch.Generator().manual_seed(0))


def attention_weights(attention, x):
    """x (N, T, dim) to how much each token takes from each other (N, heads, T, T), and the values."""
    q, k, v = attention.qkv(x).chunk(3, dim=-1)  # each (N, T, dim)
    q, k, v = (t.unflatten(-1, (attention.num_heads, -1)).transpose(1, 2) for t in (q, k, v))
    return (q @ k.mT / q.shape[-1] ** 0.5).softmax(dim=-1), v  # (N, heads, T, T), (N, heads, T, d)


with torch.no_grad():
    weights, v = attention_weights(attention, x)  # (2, 4, 17, 17), (2, 4, 17, 32)
    mixed = (weights @ v).transpose(1, 2).flatten(2)  # (2, 4, 17, 32) -> (2, 17, 128)
    assert torch.allclose(attention.proj(mixed), attention(x), atol=1e-5)
print("the slices are query, key, value, in this order")

# %% [markdown]
# ## What does it look at?
#
# Attention weights can be drawn. The head reads the class token alone, so its row of the weights says, block by
# block, from which patches the answer is put together. **Predict**: at which patches of a boot does it look? And
# of a bag?

# %%
looks = []  # of the class token at the 16 patches, mean over heads
with torch.no_grad():
    x = torch.cat([model.cls_token.expand(8, -1, -1), model.patch_embed(images)], dim=1)
    x = x + model.pos_embed  # (8, 17, 128)
    for block in model.blocks:
        weights, _ = attention_weights(block.attn, block.norm1(x))  # (8, 4, 17, 17)
        looks.append(weights[:, :, 0, 1:].mean(dim=1))  # (8, 16)
        x = block(x)
looks = torch.stack(looks)  # (6, 8, 16): block, picture, patch
by_place, by_picture = looks.mean(dim=1).std(dim=1).mean(), looks.std(dim=1).mean()
print(f"spread of the weights over patches {by_place:.3f}, over pictures {by_picture:.3f}")

# %% tags=["folded"]
# @title Drawing: where the class token looks, block by block
with style():
    figure, axes = plt.subplots(3, 7, figsize=(8, 3.9))
    for line, column in zip(axes, (2, 1, 7)):
        line[0].imshow(clothes.test.images[column].permute(1, 2, 0))
        for ax, block in zip(line[1:], looks[:, column]):
            ax.imshow(block.view(4, 4), cmap="inferno", vmin=0, vmax=looks.max().item())
        for ax in line:
            ax.set(xticks=[], yticks=[], frame_on=False)
        name = clothes.classes[clothes.test.labels[column]]
        line[0].set_ylabel(name, rotation=0, ha="right", va="center")
    for number, ax in enumerate(axes[0, 1:], start=1):
        ax.set_title(f"block {number}", loc="center", fontsize=10)
    same = by_place > 5 * by_picture
    told = "It looks at places, not at things" if same else "It looks elsewhere in each picture"
    figure.suptitle(f"{told} (bright: much attention)", fontweight="bold")

# %% [markdown]
# Not at the boot. In each block this small ViT looks at the same few *places*, whatever is there. In large ViTs
# that were trained without labels, the maps trace objects (Caron et al. 2021, [arXiv
# 2104.14294](https://arxiv.org/abs/2104.14294)); ours has sixteen patches and is another case.
#
# **Change one thing.** Two cells up, write `model.patch_embed(images.flip(-1))`: the model now sees every picture
# mirrored. Run that cell and the drawing. (The left column still shows the pictures as they were.) Do the bright
# squares move to the other side?
#
# <details><summary>Do they move?</summary>
#
# They stay, all but a faint one: in the boot's third block a square changes from the top left corner to the top right.
# The toe of the boot is on the other side now, and the model looks where it always looks.
#
# </details>
#
# Keep two things in mind. An attention map says where information is taken from, not what is done with it. And a
# model that goes by places is in trouble when a cipher moves whole patches, unless the rows of its position
# embedding move along.
#
# ## Add LoRA
#
# `lorakit.add_lora` puts a LoRA layer wherever you ask: on any of `q k v proj fc1 fc2`, in any blocks. On the
# fused matrix each slice gets an update of its own. We ask for query and value, pretend that training has
# happened, and look at $\Delta W$:

# %%
torch.manual_seed(0)
adapted = add_lora(create_backbone("vit_micro").eval(), targets=("q", "v"), rank=4)
for name, layer in lora_layers(adapted):
    print(name, "has LoRA on", ", ".join(layer.updates))
with torch.no_grad():
    body = adapted.forward_features(images)
    assert torch.equal(body, model.forward_features(images))  # B = 0: nothing has changed
    for update in layer.updates.values():
        update.B.weight.normal_()
for slice_, rows in zip(layer.slices, layer.delta_weight().chunk(3)):  # each (128, 128)
    rank = torch.linalg.matrix_rank(rows).item()
    print(f"the rows of {slice_}: length {rows.norm().item():.1f}, rank {rank}")

# %% [markdown]
# The rows of the key stay zero. A single LoRA on the fused matrix would be another thing: one $A$ for all
# three, and a change of the key that nobody asked for.
#
# ## Who trains?
#
# Adding LoRA freezes nothing. A **method** is a rule that says which parameters train. `lora` is what MeLo does
# (Zhu et al. 2023, [arXiv 2311.08236](https://arxiv.org/abs/2311.08236)), `lora+patch` is the paper's. Here they
# are for ViT-B/16, the paper's model, with the number of parameters that train:

# %%
figure = plot_methods()

# %% [markdown]
# The rule goes by names. Here are some, from a model with LoRA on query and value:

# %%
for name, p in adapted.named_parameters():
    if "blocks" not in name or "blocks.0" in name:
        print(f"{name:40} {tuple(p.shape)}")

# %% [markdown] tags=["hints"] exercise="02.trainable"
# ### Exercise 3: the rule
#
# Write the rule of `lora+patch`: a parameter's name in, True or False out. It must work for LoRA on any
# target.
#
# <details><summary>Hint 1</summary>
#
# Three parts train, each with all it has: LoRA, the patch embedding, the head. Find in the list above what
# the names of each part have in common, and no other name has.
#
# </details>
# <details><summary>Hint 2</summary>
#
# `pos_embed` is not the patch embedding. And `blocks.0.attn.qkv.base.weight` is not LoRA, but the frozen map
# beside it.
#
# </details>


# %% tags=["exercise"] exercise="02.trainable"
def trains(name):
    """Whether the parameter of this name trains under lora+patch."""
    ...  # your code


check("02.trainable", trains)

# %% [markdown] tags=["solution"] exercise="02.trainable"
# <details><summary>Solution</summary>
#
# ```python
# def trains(name):
#     return ".updates." in name or name.startswith(("patch_embed.", "head."))
# ```
#
# `lorakit.apply_method` does this: it adds LoRA, then goes through all names once and sets `requires_grad`.
#
# </details>

# %% [markdown]
# ## How much is that, in ViT-B/16?
#
# Counting needs shapes, not numbers. On PyTorch's `meta` device a model has only shapes, so even the large
# ViT-B/16 is there at once, with nothing to download. **Predict**: under `lora+patch` at rank 4, which part
# has the most trainable parameters?

# %%
rows = []
runs = {"probe": [4], "lora": [4], "lora+patch": [2, 4, 8], "full": [4]}
parts = ["head", "lora", "patch_embed", "backbone", "trainable"]
for method, rank in ((method, rank) for method, ranks in runs.items() for rank in ranks):
    with torch.device("meta"):
        vit = create_backbone("vit_base_patch16_224", classes=10, pretrained=False)
    whole = count_parameters(vit)["total"]
    counts = count_parameters(apply_method(vit, method, rank=rank))
    row = {"method": method, "r": rank if counts["lora"] else "-"}
    row |= {part: counts[part] for part in parts}
    rows.append(row | {"share": f"{counts['trainable'] / whole:.2%}"})
pd.DataFrame(rows).set_index(["method", "r"])

# %% [markdown]
# (`share` divides by the size of the model before LoRA was added.) Check two of them on paper. With 12
# blocks, two targets a block, and $r(\text{in} + \text{out})$ numbers each:

# %%
width, depth, classes, p, r = 768, 12, 10, 16, 4
head = width * classes + classes
lora = depth * 2 * r * (width + width)
patch = width * 3 * p * p + width
print(f"lora: {lora + head:,}   lora+patch: {lora + patch + head:,}")
assert [lora + head, lora + patch + head] == [rows[1]["trainable"], rows[3]["trainable"]]

# %% [markdown]
# The patch embedding is most of it: one full-rank map weighs more than all of LoRA at this rank. The whole is
# still under one parameter in a hundred, up to rank 4.
#
# ## On real photographs
#
# Now five methods train on the same 2,000 plain pictures of clothes, each at its own learning rates. These were
# searched on validation images of clothes, some of them encrypted, so none is at its best for exactly this run. The
# `probe` is the one whose head you saw in the first drawing. `patch` trains the head and the patch embedding, without
# LoRA: it stands beside `lora+patch` to show what the one part does without the other. **Predict** the order of the
# five.

# %%
epochs = 1 if smoke else 3
scores, counts, trained = {}, {}, {}
for method in ("probe", "patch", "lora", "lora+patch", "full"):
    torch.manual_seed(0)  # the same random head for all
    vit = apply_method(create_backbone("vit_micro"), method, rank=4)
    rates = Experiment(method=method, train=len(clothes.train)).recipe.lr
    fit(vit, clothes.train, Recipe(epochs=epochs, lr=rates), progress=False)
    scores[method] = evaluate(vit, clothes.test)["accuracy"]
    counts[method] = count_parameters(vit)["trainable"]
    trained[method] = vit.cpu().eval()
    print(f"{method:11}{counts[method]:10,} train, test accuracy {scores[method]:.1%}")

# %% tags=["folded"]
# @title Drawing: accuracy against what trains
spread = 100 * (max(scores.values()) - min(scores.values()))
with style():
    figure, ax = plt.subplots(figsize=(7.5, 3.6))
    for method, score in scores.items():
        error = 1.96 * (score * (1 - score) / len(clothes.test)) ** 0.5
        look = {"color": METHOD_COLOURS[method], "marker": METHOD_MARKERS[method]}
        ax.errorbar(counts[method], score, error, capsize=4, markersize=8, label=method, **look)
    ax.set(xscale="log", xlabel="parameters that train", ylabel="test accuracy")
    ax.set_title(
        f"Plain pictures: the five are {spread:.1f} points apart, a bar is ± {100 * error:.1f}"
    )
    ax.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    ax.legend(
        loc="center left", bbox_to_anchor=(1, 0.5), title="bars: 95 %,\nsampling of\ntest pictures"
    )

# %% [markdown]
# Compare the distances with the bars before you read an order into them. From 2,000 plain pictures the five methods
# come within a few points: the pre-trained features tell clothes apart already, and the probe has a thousand
# times fewer parameters to train than `full`. And three epochs are short: a logistic regression on the same frozen
# features, trained to its end, reaches about 87 % (lesson A1). So these are five short trainings, not five limits.
# Two things follow. A ranking of methods needs more pictures and several
# seeds (lesson 10). And on **plain** pictures the patch embedding has little to add, for the pre-trained one reads
# them. The paper's reason to train it is encryption; what it does there is measured in lesson 04.
#
# ## Merge, and hand it on
#
# After training, fold the updates in and take LoRA out. What remains is an ordinary timm ViT:

# %%
vit = trained["lora+patch"]
plain = remove_lora(merge_lora(copy.deepcopy(vit)))
with torch.no_grad():
    gap = (plain(images) - vit(images)).abs().max().item()
assert gap < 1e-3
fresh = create_backbone("vit_micro")
fresh.load_state_dict(plain.state_dict())  # raises if a name or a shape does not fit
sizes = [sum(p.numel() for p in m.parameters()) for m in (vit, plain, fresh)]
print(f"largest difference of a logit {gap:.0e}; parameters {sizes[0]:,} -> {sizes[1]:,}")
assert sizes[1] == sizes[2]

# %% [markdown]
# ## Find the silent bug
#
# A training loop of one's own, in the order in which it came to mind: model, optimiser, then LoRA.


# %%
def train(model, optimizer, steps):
    torch.manual_seed(0)
    for _ in range(steps):
        batch = torch.randint(len(clothes.train), (32,))
        optimizer.zero_grad()
        logits = model(normalise(clothes.train.images[batch]))
        loss = F.cross_entropy(logits, clothes.train.labels[batch])
        loss.backward()
        optimizer.step()
    right = evaluate(model, clothes.test, device="cpu")["accuracy"]
    count = count_parameters(model)["trainable"]
    print(f"{count:,} parameters to train, last loss {loss:.4f}, test accuracy {right:.1%}")


steps = 5 if smoke else 100
torch.manual_seed(0)
buggy = create_backbone("vit_micro").requires_grad_(False)
buggy.head.requires_grad_(True)
early = torch.optim.AdamW([p for p in buggy.parameters() if p.requires_grad], lr=1e-3)
apply_method(buggy, "lora+patch", rank=4)
train(buggy, early, steps)

# %% [markdown]
# It learns, and the count is that of `lora+patch`. For comparison, a probe with the same loop:

# %%
torch.manual_seed(0)
probe = apply_method(create_backbone("vit_micro"), "probe")
optimizer = torch.optim.AdamW([p for p in probe.parameters() if p.requires_grad], lr=1e-3)
train(probe, optimizer, steps)

# %% [markdown]
# The same loss to the last digit, and the same accuracy, with thirty times fewer parameters. **What is
# wrong?** And why does nothing raise an error?
#
# <details><summary>What went wrong</summary>
#
# An optimiser keeps a list of tensors, made once. LoRA and the unfrozen patch embedding came later, so they
# are not on it. They get gradients, `requires_grad` is True, they are counted, and yet nobody moves them. The
# head was on the list and learns, so the accuracy looks fair: you have trained a probe, and would report it
# as `lora+patch`. The same happens if anything else makes new parameters after the optimiser was built, such
# as a new head.
#
# Build the optimiser last. And compare the weights before and after a few steps:
#
# </details>


# %%
def stuck(model, optimizer, steps):
    """Train, and return the names of parameters that should have moved and have not."""
    before = copy.deepcopy(model.state_dict())
    train(model, optimizer, steps)
    return [n for n, p in model.named_parameters() if p.requires_grad and torch.equal(p, before[n])]


names = stuck(buggy, early, steps=3)  # three: A stands still on the first
print(f"optimiser first: {len(names)} stuck, such as {names[0]} and {names[-1]}\n")

torch.manual_seed(0)
sound = apply_method(create_backbone("vit_micro"), "lora+patch", rank=4)
late = torch.optim.AdamW([p for p in sound.parameters() if p.requires_grad], lr=1e-3)
names = stuck(sound, late, steps)
print(f"optimiser last: {len(names)} stuck")

# %% [markdown]
# Note how little the accuracy says here: a probe alone names most clothes, so a model that trains nothing but
# its head passes for a success. The weights do not lie. (`lorakit.fit` builds its optimiser itself, from what
# trains at that moment.)
#
# ## Recap: three questions
#
# Open the answer you would give; it tells you whether it holds.
#
# **1. A ViT of width 128 reads pictures of 64 × 64 pixels in patches of 8 × 8. What changes for pictures of
# 128 × 128?**
# <details><summary>E gets four times as many columns, and the number of tokens stays 65</summary>✗ Each patch
# is read by itself, and all patches by the same E. More pixels are more patches, not longer ones.</details>
# <details><summary>There are 257 tokens where there were 65, and E keeps its shape (128, 192)</summary>✓ 16 ·
# 16 patches and the class token. E reads 3 · 8 · 8 values of one patch, whatever the size of the picture.
# Only the position embedding needs more rows.</details>
# <details><summary>There are 256 tokens where there were 64, and each token becomes longer</summary>✗ The
# class token makes it 65 and 257. And a token has the width of the model, 128, whatever the size of the
# picture.</details>
#
# **2. Somebody moves whole patches of a picture to other places. Through which part of the ViT does this
# change the logits?**
# <details><summary>The patch embedding: it reads every place with weights of its own</summary>✗ It reads all
# places with the same weights. A patch gives the same product with E wherever it stands.</details>
# <details><summary>The attention: it lets each token look at its neighbours first</summary>✗ Each token looks
# at all others, by what is in them. Leave the positions out, and no order of patches changes a
# logit.</details>
# <details><summary>The position embedding: another vector is added to each patch</summary>✓ It is the only
# part that knows what was where. Without it, the blocks see a set.</details>
#
# **3. You train <code>lora+patch</code> with a loop of your own. The loss falls, and the count of trainable
# parameters is right. What shows that LoRA learns?**
# <details><summary>A and B are not what they were before the first steps</summary>✓ The weights do not lie.
# Compare them after a few steps: on the first one, A stands still even in a sound layer.</details>
# <details><summary>A and B have gradients, and <code>requires_grad</code> is true for both</summary>✗ Both
# hold in the silent bug, too. An optimiser that was made before LoRA does not hold A and B, so nobody moves
# them.</details>
# <details><summary>The test accuracy is far above that of a blind guess</summary>✗ A head alone gets there. A
# model that trains nothing else passes for a success.</details>
#
# Next, [lesson 03](03_encrypting_images.ipynb) builds the cipher, and [lesson
# 04](04_learning_from_encrypted_images.ipynb) shows what the patch embedding is for.
#
# ## What this does not protect
#
# Nothing is private yet: the pictures were plain, the trainer sees all of them, and the trained weights
# may remember some. Small updates are no protection. And a patch embedding that has learned from encrypted
# pictures carries information about the key (lessons 05 and 10 measure it), so it is not free to give away.
#
# ## ★ Open task: where should LoRA go?
#
# Query and value is a habit, not a law. With the same number of trainable parameters, try LoRA on one target
# alone (`q`, `k`, `v`, `proj`, `fc1`, `fc2`) and on one block alone.
#
# - **2 points**: choose ranks so that the counts are equal within 5 %, and show the counts.
# - **2 points**: three seeds each, one figure with a dot for each run.
# - **1 point**: choose on validation images, report on test images, once.
# - **1 point**: two sentences: what you would use next time, and what your runs cannot say.

# ---
# jupyter:
#   lorakit:
#     title: Adapting a Vision Transformer
#     learn:
#     - compute the tokens of a ViT by hand, and show that its patch embedding is one linear map
#     - find query, key and value in timm's fused weight
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
# A Vision Transformer (ViT; Dosovitskiy et al. 2020, [arXiv 2010.11929](https://arxiv.org/abs/2010.11929)) is
# a stack of linear maps with little between them. Which of them should learn when the model is adapted to a
# new task?
#
# The usual answer is: LoRA inside the attention, and a new head. Lin, Imaizumi and Kiya (2025, [arXiv
# 2507.11943](https://arxiv.org/abs/2507.11943)) add one more part, the **patch embedding**, the map that
# every pixel has to pass first. In this lesson you take a ViT apart far enough to see why that part is
# special, put LoRA in, count exactly what trains, and compare the methods on real handwritten digits. The
# pictures are plain here; encryption follows in lessons 03 and 04.

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
from lorakit.experiments.learning_rates import LEARNING_RATES
from lorakit.figures.diagrams import plot_methods
from lorakit.figures.style import METHOD_COLOURS, METHOD_MARKERS, style
from lorakit.training.recipe import Recipe

# %% [markdown]
# ## A picture becomes a sequence
#
# `vit_micro` is a `VisionTransformer` of timm, the library that most vision models come from. It is built
# like ViT-B/16, only smaller: 32 × 32 pixels, patches of 8 × 8, tokens of width 128. It cuts a picture into
# patches and turns each into one **token**, a vector. In timm the patch embedding is a convolution. Look at
# its kernel and its stride:

# %%
tiny = {"train": 64, "val": 20, "test": 60} if preset == "smoke" else {}
digits = load("digits", **tiny)
images = normalise(digits.test.images[:5])  # (5, 3, 32, 32), values from -1 to 1
torch.manual_seed(0)  # the head is new and random
model = create_backbone("vit_micro").eval()  # 10 classes, pre-trained on drawn letters
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
patches = F.unfold(images, kernel_size=8, stride=8).mT  # (5, 192, 16) -> (5, 16, 192)
E, b = model.patch_embed.proj.weight.flatten(1), model.patch_embed.proj.bias  # (128, 192), (128)
with torch.no_grad():
    tokens = model.patch_embed(images)  # (5, 16, 128)
    assert torch.allclose(patches @ E.T + b, tokens, atol=1e-5)
print(f"conv = linear: {tuple(patches.shape)} @ {tuple(E.T.shape)} = {tuple(tokens.shape)}")

# %%
with style():
    figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3), width_ratios=[1, 3])
    left.imshow(digits.test.images[0].permute(1, 2, 0))  # (32, 32, 3)
    for edge in (7.5, 15.5, 23.5):
        left.axhline(edge, color="#E69F00")
        left.axvline(edge, color="#E69F00")
    left.set(xticks=[], yticks=[], title="16 patches ...")
    right.imshow(patches[0], cmap="gray", aspect="auto", interpolation="nearest")
    right.set(
        xlabel="192 values: red, green, blue",
        ylabel="patch",
        title="... are 16 rows, and E multiplies each",
    )
    right.grid(False)

# %% [markdown]
# Keep this picture in mind. If somebody reorders the 192 columns, the same for every patch, then a model
# whose $E$ has its columns reordered alike gives the same tokens. That is why the patch embedding can absorb
# a cipher which shuffles pixels, and it is the subject of lesson 04.
#
# ## From tokens to logits
#
# Two more learned things join in before the **blocks** (the six layers, each attention and then an **MLP**,
# two linear maps with a nonlinearity between): a **class token**, a vector put in front of the sequence, and
# a **position embedding**, a vector added to each token. After the blocks, the head reads the class token
# alone. By hand:

# %%
with torch.no_grad():
    first = model.cls_token.expand(len(images), -1, -1)  # (5, 1, 128)
    x = torch.cat([first, tokens], dim=1) + model.pos_embed  # (5, 17, 128)
    x = model.norm(model.blocks(x))  # (5, 17, 128)
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
# In each block, attention makes three vectors of every token: **query**, **key** and **value**. LoRA is
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
heads = attention.num_heads
with torch.no_grad():
    q, k, v = attention.qkv(x).chunk(3, dim=-1)  # each (2, 17, 128)
    q, k, v = (t.unflatten(-1, (heads, -1)).transpose(1, 2) for t in (q, k, v))  # (2, 4, 17, 32)
    weights = (q @ k.mT / q.shape[-1] ** 0.5).softmax(dim=-1)  # (2, 4, 17, 17)
    mixed = (weights @ v).transpose(1, 2).flatten(2)  # (2, 4, 17, 32) -> (2, 17, 128)
    assert torch.allclose(attention.proj(mixed), attention(x), atol=1e-5)
print("the slices are query, key, value, in this order")

# %% [markdown]
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
# Adding LoRA freezes nothing. What a **method** is, is a rule that says which parameters train:
#
# | method | trains | idea |
# | --- | --- | --- |
# | `probe` | the head | features as they are |
# | `lora` | the head, LoRA | as MeLo does (Zhu et al. 2023, [arXiv 2311.08236](https://arxiv.org/abs/2311.08236)) |
# | `lora+patch` | the head, LoRA, the patch embedding | Lin, Imaizumi and Kiya 2025 |
# | `full` | everything | the usual fine-tuning |
#
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
# The patch embedding is most of it: one full-rank map weighs more than all of LoRA at this rank. Raising the
# rank changes less than one might think, and the whole is still about one parameter in a hundred. Here are
# the four methods as a picture. It says "encrypted image", for that is where the paper needs them:

# %%
figure = plot_methods()

# %% [markdown]
# ## On real digits
#
# Now all four train on the same real handwritten digits, each with the learning rates that suited it on
# validation images. The letters that `vit_micro` was pre-trained on are drawn from fonts; it never saw a
# digit. **Predict** the order of the four.

# %%
epochs = 1 if preset == "smoke" else 8
curves, scores, results, trained = {}, {}, [], {}
for method in ("probe", "lora", "lora+patch", "full"):
    torch.manual_seed(0)  # the same random head for all
    vit = apply_method(create_backbone("vit_micro"), method, rank=4)
    rates = LEARNING_RATES[method]
    recipe = Recipe(epochs=epochs, lr=rates)
    history = fit(vit, digits.train, recipe, val=digits.val, progress=False)
    curves[method] = [row["val_accuracy"] for row in history]
    scores[method] = evaluate(vit, digits.test)["accuracy"]
    trainable = count_parameters(vit)["trainable"]
    row = {"method": method, "trainable": trainable, "test accuracy": f"{scores[method]:.1%}"}
    results.append(row)
    trained[method] = vit.cpu().eval()
pd.DataFrame(results).set_index("method")

# %%
tuned = [scores[method] for method in ("lora", "lora+patch", "full")]
spread = 100 * (max(tuned) - min(tuned))
with style():
    figure, ax = plt.subplots(figsize=(7.5, 3.8))
    for method, curve in curves.items():
        look = {"color": METHOD_COLOURS[method], "marker": METHOD_MARKERS[method]}
        ax.plot(range(1, epochs + 1), curve, label=method, **look)
    ax.set(xlabel="epoch", ylabel="validation accuracy", xticks=range(1, epochs + 1))
    ax.set_title(f"Plain digits: all but the probe within {spread:.1f} points on the test images")
    ax.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))

# %% [markdown]
# The three that change the backbone should end close together, and even the probe is not far: these are easy
# pictures. With 500 test images one point is five of them, so do not read an order into small gaps. LoRA does
# about as well as `full` with one parameter in a hundred. And on **plain** pictures the patch embedding has
# little to add, for the pre-trained one reads them already. The paper's reason to train it is encryption;
# what it does there is measured in lesson 04.
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
        batch = torch.randint(len(digits.train), (32,))
        optimizer.zero_grad()
        logits = model(normalise(digits.train.images[batch]))
        loss = F.cross_entropy(logits, digits.train.labels[batch])
        loss.backward()
        optimizer.step()
    right = evaluate(model, digits.test, device="cpu")["accuracy"]
    count = count_parameters(model)["trainable"]
    print(f"{count:,} parameters to train, last loss {loss:.4f}, test accuracy {right:.1%}")


steps = 5 if preset == "smoke" else 100
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
# Note how little the accuracy says here: on easy pictures a probe alone reads most of them, so a model that
# trains nothing but its head passes for a success. The weights do not lie. (`lorakit.fit` builds its
# optimiser itself, from what trains at that moment.)
#
# ## What you can do now
#
# - You can compute a ViT's tokens with one matrix product, and its logits in four lines.
# - You can find query, key and value in timm's fused weight, and give LoRA to some of them.
# - You can say and count what trains in `probe`, `lora`, `lora+patch` and `full`.
# - You know a test for a training that does not train: compare the weights.
#
# Next, [lesson 03](03_encrypting_images.ipynb) builds the cipher, and [lesson
# 04](04_learning_from_encrypted_images.ipynb) shows what the patch embedding is for.
#
# ## What this does not protect
#
# Nothing is private yet: the pictures were plain, whoever trains sees all of them, and the trained weights
# may remember some. Small updates are no protection. And a patch embedding that has learned from encrypted
# pictures carries information about the key (lessons 04 and 10 measure it), so it is not free to give away.

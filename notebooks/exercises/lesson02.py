"""Exercises of lesson 02: patches, the fused qkv weight, and what trains under lora+patch."""

import torch
import torch.nn.functional as F

from exercises.verdict import Answer, ask, begun, exercise, same, several, wrong_if
from lorakit.lora.vit import apply_method, create_backbone

_WORDS = {
    "head.": "The head is new: it starts random, so weight and bias both have to learn",
    "patch_embed.": "The patch embedding learns whole: its weight and its bias",
    ".updates.": "That is LoRA itself: A and B have to learn, on every target",
    ".base.": "That is the frozen map beside LoRA, its weight or its bias",
    "pos_embed": "The position embedding only sounds like the patch embedding; it is frozen",
    ".bias": "Training biases is another method (bitfit); in the blocks they are frozen",
    "": "It belongs to the frozen backbone",
}


@exercise("02.patches", (2, 4, 6, 5), (4, 12, 8, 7), (3, 9, 9, 11))
def patches(answer: Answer, p: int, height: int, width: int, dim: int) -> str:
    images = torch.randn(2, 3, height, width)
    weight, bias = torch.randn(dim, 3, p, p), torch.randn(dim)
    grid = F.conv2d(images, weight, bias, stride=p)  # (N, dim, rows, columns)
    tokens, W = grid.flatten(2).mT, weight.flatten(1).T
    blocks = images.unfold(2, p, p).unfold(3, p, p)  # (N, 3, rows, columns, p, p)
    mixed = blocks.permute(0, 2, 3, 4, 5, 1).flatten(3).flatten(1, 2) @ W + bias
    turned = blocks.permute(0, 2, 3, 1, 5, 4).flatten(3).flatten(1, 2)
    torn = images.reshape(len(images), -1, 3 * p * p) @ W + bias
    known = {
        "the bias is missing": tokens - bias,
        "the tokens run down the columns; they should run along the rows": grid.mT.flatten(2).mT,
        "a patch comes as (row, column, colour), the weight as (colour, row, column)": mixed,
        "rows and columns inside a patch are exchanged": turned @ W + bias,
        "a reshape alone tears the picture into runs of pixels, axes have to change places": torn,
        "tokens and features are exchanged: tokens come first, (N, T, dim)": tokens.mT,
        "the grid of tokens is still there: make one sequence of it": grid.permute(0, 2, 3, 1),
        "the batch holds several images, and each has tokens of its own": tokens.flatten(0, 1),
    }
    what = f"for patches of {p} x {p}, the tensor of tokens"
    same(answer(images, weight, bias), tokens, what, known)
    return "a convolution whose stride is its size is one matrix product per patch."


@exercise("02.qkv", (6,), (9,))
def qkv(answer: Answer, dim: int) -> str:
    weight = torch.randn(3 * dim, dim)
    right = dict(zip(("query", "key", "value"), weight.chunk(3)))
    got = several(ask(answer, weight, keep=True), ", ".join(right))
    columns = weight.tensor_split(3, dim=1)
    for place, (mine, (name, want)) in enumerate(zip(got, right.items())):
        known = {
            "you took every third row; each map's rows stand together": weight[place::3],
            "a weight of a linear map is (out, in), yours is transposed": want.T,
            "you cut columns; they are the inputs, which all three maps share": columns[place],
        }
        for other, rows in right.items():
            known[f"you return the {other} for the {name}: the order is query, key, value"] = rows
        same(mine, want, f"the weight of the {name}", known)
    return "rows are outputs: query, key and value stand one below the other."


@exercise("02.trainable", (("q", "v"),), (("q", "k", "v", "proj", "fc1", "fc2"),))
def trainable(answer: Answer, targets: tuple[str, ...]) -> str:
    with torch.device("meta"):
        model = create_backbone("vit_micro", pretrained=False, depth=2)
        model = apply_method(model, "lora+patch", targets=targets)
    rules = {name: p.requires_grad for name, p in model.named_parameters()}
    got = {name: answer(name) for name in rules}
    begun(*got.values())
    wrong = [name for name, trains in rules.items() if bool(got[name]) != trains]
    for part, words in _WORDS.items():
        for name in wrong:
            yours = "trains" if got[name] else "is frozen"
            wrong_if(part in name, f"{name} {yours} with your rule. {words}")
    return "LoRA, patch embedding and head, each with all that belongs to it; nothing else."

"""Exercises of lesson 02: patches, the fused qkv weight, and what trains under lora+patch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

from exercises.verdict import Mistake, begun, exercise, same, unanswered
from lorakit.lora.vit import apply_method, create_backbone


@exercise("02.patches")
def patches(answer: Callable[[Tensor, Tensor, Tensor], Tensor]) -> str:
    generator = torch.Generator().manual_seed(0)
    for p, height, width, dim in [(2, 4, 6, 5), (4, 12, 8, 7), (3, 9, 9, 11)]:
        images = torch.randn(2, 3, height, width, generator=generator)
        weight = torch.randn(dim, 3, p, p, generator=generator)
        bias = torch.randn(dim, generator=generator)
        grid = F.conv2d(images, weight, bias, stride=p)  # (N, dim, rows, columns)
        blocks = images.unfold(2, p, p).unfold(3, p, p)  # (N, 3, rows, columns, p, p)
        colour_last = blocks.permute(0, 2, 3, 4, 5, 1).flatten(3).flatten(1, 2)
        turned = blocks.permute(0, 2, 3, 1, 5, 4).flatten(3).flatten(1, 2)
        tokens, W = grid.flatten(2).mT, weight.flatten(1).T
        known = {
            "the bias is missing": tokens - bias,
            "the tokens run down the columns; they should run along the rows": (
                grid.mT.flatten(2).mT
            ),
            "the values of a patch are in the order (row, column, colour), the weight's are in "
            "(colour, row, column)": colour_last @ W + bias,
            "rows and columns inside a patch are exchanged": turned @ W + bias,
            "the shape is right, but every token differs: a reshape alone tears the picture into "
            "runs of pixels, axes have to change places in between": (
                images.reshape(len(images), -1, 3 * p * p) @ W + bias
            ),
            "tokens and features are exchanged: tokens come first, (N, T, dim)": tokens.mT,
            "the grid of tokens is still there: make one sequence of it": grid.permute(0, 2, 3, 1),
            "the batch holds several images, and each has tokens of its own": tokens.flatten(0, 1),
        }
        same(
            answer(images, weight, bias),
            tokens,
            f"for patches of {p} x {p}, the tensor of tokens",
            known,
        )
    return "a convolution whose stride is its size is one matrix product per patch."


@exercise("02.qkv")
def qkv(answer: Callable[[Tensor], Sequence[Tensor]]) -> str:
    generator = torch.Generator().manual_seed(0)
    for dim in (6, 9):
        weight = torch.randn(3 * dim, dim, generator=generator)
        before = weight.clone()
        got = begun(answer(weight))
        if len(got) != 3:
            raise Mistake(f"three matrices are asked for, you return {len(got)}")
        if not all(isinstance(mine, Tensor) for mine in got):
            raise Mistake("each of the three should be a tensor")
        right = before.unflatten(0, (3, dim)).unbind()
        names = "query", "key", "value"
        for place, (mine, want, name) in enumerate(zip(got, right, names)):
            known = {
                f"in place of the {name} you return another one: the order is query, key, value": (
                    next((other for other in right if torch.equal(other, mine)), want)
                ),
                "you took every third row; each map's rows stand together": before[place::3],
                "a weight of a linear map is (out, in), yours is transposed": want.T,
                "you cut columns; they are the inputs, which all three maps share": (
                    before.tensor_split(3, dim=1)[place]
                ),
            }
            same(mine, want, f"the weight of the {name}", known)
        if not torch.equal(weight, before):
            raise Mistake("the slices are right, but the fused weight was changed on the way")
    return "rows are outputs: query, key and value stand one below the other."


@exercise("02.trainable")
def trainable(answer: Callable[[str], bool]) -> str:
    for targets in (("q", "v"), ("q", "k", "v", "proj", "fc1", "fc2")):
        rules = _lora_patch(targets)
        got = {name: answer(name) for name in rules}
        begun(None if all(map(unanswered, got.values())) else got)
        wrong = [name for name, trains in rules.items() if bool(got[name]) != trains]
        for part, words in _WORDS.items():
            first = next((name for name in wrong if part in name), None)
            if first:
                yours = "trains" if got[first] else "is frozen"
                raise Mistake(f"{first} {yours} with your rule. {words}")
        if wrong:
            yours = "trains" if got[wrong[0]] else "is frozen"
            raise Mistake(f"{wrong[0]} {yours} with your rule: it belongs to the frozen backbone")
    return "LoRA, patch embedding and head, each with all that belongs to it; nothing else."


_WORDS = {
    "head.": "The head is new: it starts random, so weight and bias both have to learn",
    "patch_embed.": "The patch embedding learns whole: its weight and its bias",
    ".updates.": "That is LoRA itself: A and B have to learn, on every target",
    ".base.": "That is the frozen map beside LoRA, its weight or its bias",
    "pos_embed": "The position embedding only sounds like the patch embedding; it is frozen",
    ".bias": "Training biases is another method (bitfit); in the blocks they are frozen",
}


@cache
def _lora_patch(targets: tuple[str, ...]) -> dict[str, bool]:
    """The name of every parameter under lora+patch, and whether it trains."""
    with torch.device("meta"):
        model = create_backbone("vit_micro", pretrained=False, depth=2)
        model = apply_method(model, "lora+patch", targets=targets)
    return {name: p.requires_grad for name, p in model.named_parameters()}

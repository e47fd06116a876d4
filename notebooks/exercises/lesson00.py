"""Checks of lesson 00, Start here."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from exercises.verdict import Mistake, begun, exercise, same, unanswered
from lorakit.data import Split
from lorakit.encryption.cipher import decrypt, encrypt, make_key
from lorakit.lora.vit import apply_method, count_parameters, create_backbone

_TOOLS = ("encryption", "dp", "both", "neither")
_WHO = {  # worry: the tool, and a question that leads to it
    "curious trainer": (
        "encryption",
        "under DP the trainer sees every picture. What hides pictures before they are sent?",
    ),
    "published model": (
        "dp",
        "the stranger looks at the finished model, not at pictures on their way. Which tool "
        "speaks of what a model gives away?",
    ),
    "company publishes": (
        "both",
        "there are two who look here, at two things. Does one tool keep both out?",
    ),
    "labels": (
        "neither",
        "look at the column 'labels' in the row of the trainer: does any tool change it?",
    ),
    "leaked pair": (
        "neither",
        "one known pair gives the key away, and the noise of DP is in the model, not in the "
        "pictures. What is left?",
    ),
}


@exercise("00.who")
def who(answer: dict[str, str]) -> str:
    """Which tool helps against which worry."""
    if not isinstance(answer, dict):
        raise Mistake(f"the answer should be a dictionary, yours is a {type(answer).__name__}")
    given = {name: answer.get(name, ...) for name in _WHO}
    begun(None if all(map(unanswered, given.values())) else given)
    for name, tool in given.items():
        if tool is ... or tool is None:
            raise Mistake(f"{name!r} has no answer yet")
        if tool not in _TOOLS:
            raise Mistake(f"{name!r} is {tool!r}; allowed: {', '.join(map(repr, _TOOLS))}")
        right, question = _WHO[name]
        if tool != right:
            raise Mistake(f"{name!r} is not {tool!r}: {question}")
    return "each worry has its tool, and two of them have none here."


@exercise("00.encrypt")
def encrypted(function: Callable) -> str:
    """Encrypt the images of a split and keep its labels."""
    generator = torch.Generator().manual_seed(0)
    for n, size, block in ((5, 32, 8), (3, 16, 4), (7, 24, 8)):
        images = torch.randint(256, (n, 3, size, size), generator=generator, dtype=torch.uint8)
        labels = torch.randint(10, (n,), generator=generator)
        before = images.clone()
        key = make_key(size, block, seed=n)
        got = begun(function(Split(images, labels), key))
        if not isinstance(got, Split):
            raise Mistake(f"the function should return a Split, yours returns {type(got).__name__}")
        if not torch.equal(images, before):
            raise Mistake("the owner's own pictures were changed: make new ones")
        same(
            got.images,
            encrypt(images, key),
            "the tensor of images",
            {
                "the images are still plain: where is the key used?": images,
                "the images were decrypted: which way does the owner need?": decrypt(images, key),
                "the images were encrypted twice": encrypt(encrypt(images, key), key),
            },
        )
        same(got.labels, labels, "the tensor of labels")
    return "the trainer gets encrypted images and, note it well, plain labels."


@exercise("00.share")
def share(function: Callable[[nn.Module], float]) -> str:
    """The share of parameters that train."""
    for method, rank, classes in (("lora+patch", 2, 10), ("lora", 4, 7), ("probe", 4, 12)):
        model = create_backbone("vit_micro", classes, pretrained=False)
        counts = count_parameters(apply_method(model, method, rank=rank))
        part, whole = counts["trainable"], counts["total"]
        same(
            function(model),
            part / whole,
            f"the share for {method!r}",
            {
                "that is a number of parameters; a share is divided by the whole": float(part),
                "that is upside down: the part is divided by the whole": whole / part,
                "that is the share of what is frozen": 1 - part / whole,
                "the whole is all parameters, not only the frozen ones": part / (whole - part),
                "that is in per cent; the share should lie between 0 and 1": 100 * part / whole,
            },
        )
    return "that is how papers say 'so many per cent trainable parameters'."

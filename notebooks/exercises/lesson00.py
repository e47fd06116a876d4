"""Exercises of lesson 00: choose a tool, encrypt a split, count the share that trains."""

import torch

from exercises.verdict import Answer, ask, begun, exercise, expect, same, wrong_if
from lorakit.checks import ArgumentError
from lorakit.data import Split
from lorakit.encryption.cipher import decrypt, encrypt, make_key
from lorakit.lora.vit import apply_method, count_parameters, create_backbone

_TOOLS = ("encryption", "dp", "both", "neither")
_WHO = {  # worry and tool: a question that leads from one to the other
    ("curious trainer", "encryption"): "under DP the trainer sees every picture. What hides "
    "pictures before they are sent?",
    ("published model", "dp"): "the stranger looks at the finished model, not at pictures on their "
    "way. Which tool speaks of what a model gives away?",
    ("company publishes", "both"): "there are two who look here, at two things. Does one tool keep "
    "both out?",
    ("labels", "neither"): "labels are sent as they are: does any tool change what the trainer "
    "gets?",
    ("leaked pair", "neither"): "one known pair gives the key away, and the noise of DP is in the "
    "model, not in the pictures. What is left?",
}


@exercise("00.encrypt", (5, 32, 8), (3, 16, 4), (7, 24, 8))
def encrypted(answer: Answer, n: int, size: int, block: int) -> str:
    images = torch.randint(256, (n, 3, size, size), dtype=torch.uint8)
    split, key = Split(images, torch.randint(10, (n,))), make_key(size, block, seed=n)
    try:
        got = ask(answer, split, key, keep=True)
    except ArgumentError as error:
        words = "encrypt takes a tensor of images: hand it split.images, not the whole split"
        wrong_if(str(error).startswith("images=Split"), words)
        raise
    expect(got, Split)
    known = {
        "the images are still plain: where is the key used?": images,
        "the images were decrypted: which way does the owner need?": decrypt(images, key),
        "the images were encrypted twice": encrypt(encrypt(images, key), key),
    }
    same(got.images, encrypt(images, key), "the tensor of images", known)
    same(got.labels, split.labels, "the tensor of labels")
    return "the trainer gets encrypted images and, note it well, plain labels."


@exercise("00.share", ("lora+patch", 2, 10), ("lora", 4, 7), ("probe", 4, 12))
def share(answer: Answer, method: str, rank: int, classes: int) -> str:
    model = create_backbone("vit_micro", classes, pretrained=False)
    counts = count_parameters(apply_method(model, method, rank=rank))
    part, whole = counts["trainable"], counts["total"]
    trains = [p.requires_grad for p in model.parameters()]
    got, before = answer(model), part / (whole - counts["lora"])
    papers = (
        isinstance(got, float) and abs(got - before) < 1e-6
    )  # divides by the model without LoRA
    known = {
        "that is a number of parameters; a share is divided by the whole": part,
        "that is upside down: the part is divided by the whole": whole / part,
        "that is the share of what is frozen": 1 - part / whole,
        "the whole is all parameters, not only the frozen ones": part / (whole - part),
        "that is in per cent; the share should lie between 0 and 1": 100 * part / whole,
        "that is LoRA alone; whatever else trains, such as the head, counts too": (
            counts["lora"] / whole
        ),
        "that counts tensors; a tensor holds many numbers, and p.numel() says how many": (
            sum(trains) / len(trains)
        ),
    }
    same(got, before if papers else part / whole, f"the share for {method!r}", known)
    return "that is how papers say 'so many per cent trainable parameters'."


@exercise("00.who")
def who(answer: dict[str, str]) -> str:
    expect(answer, dict, "the answer")
    begun(*(answer.get(name) for name, _ in _WHO))
    for (name, right), question in _WHO.items():
        tool, allowed = answer.get(name), ", ".join(map(repr, _TOOLS))
        wrong_if(tool is ... or tool is None, f"{name!r} has no answer yet")
        wrong_if(tool not in _TOOLS, f"{name!r} is {tool!r}; allowed: {allowed}")
        wrong_if(tool != right, f"{name!r} is not {tool!r}: {question}")
    return "each worry has its tool, and two of them have none here."

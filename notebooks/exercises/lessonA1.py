"""Exercises of lesson A1: the loss at chance, the steps of a run, bytes in half precision."""

import math

from torch import nn

from exercises.verdict import Answer, exercise, same


@exercise("A1.chance", (96,), (10,), (3,))
def chance(answer: Answer, classes: int) -> str:
    known = {
        "that is in bits: cross-entropy in PyTorch takes the natural logarithm": math.log2(classes),
        "that takes the logarithm to base 10: take the natural one": math.log10(classes),
        "that is the accuracy at chance; the loss is its negative logarithm": 1 / classes,
        "that is the probability of a wrong guess, not a loss": 1 - 1 / classes,
    }
    same(answer(classes), math.log(classes), f"the loss for {classes} classes", known)
    return "that is where every classifier begins, and where you look first."


@exercise("A1.steps", (10, 4, 3), (1000, 128, 5), (150_000, 128, 8), (256, 64, 2))
def steps(answer: Answer, images: int, batch: int, epochs: int) -> str:
    each, late = math.ceil(images / batch), math.ceil(epochs * images / batch)
    known = {
        "the smaller last batch of each epoch is missing": epochs * (images // batch),
        "rounded up too late: every epoch has its own smaller last batch": late,
        "steps are a whole number: each epoch has its own last batch": epochs * images / batch,
        "full batches need no extra one: round up, do not add one": epochs * (images // batch + 1),
        "those are the steps of a single epoch": each,
        "that counts images, not batches": epochs * images,
    }
    what = f"the number of steps for {images} images, batch size {batch}, {epochs} epochs,"
    same(answer(images, batch, epochs), epochs * each, what, known)
    return "a schedule that is told this number ends exactly with the training."


@exercise("A1.half", (5, 30, 12), (21, 8, 17), (3, 40, 6))
def half(answer: Answer, a: int, b: int, c: int) -> str:
    model = nn.Sequential(nn.Linear(a, b), nn.ReLU(), nn.Linear(b, c, bias=False))
    model[0].requires_grad_(False)
    number = sum(p.numel() for p in model.parameters())
    known = {
        "that is how many numbers there are; how many bytes does each take?": number,
        "those are bits: a byte has 8 of them": 16 * number,
        "that is single precision, 32 bits a number": 4 * number,
        "frozen parameters are stored as well": 2 * b * c,
        "only the weights of the first layer are counted": 2 * a * b,
        "biases are stored as well": 2 * (a * b + b * c),
    }
    same(answer(model), 2 * number, "the number of bytes", known)
    return "that is half of what single precision takes."

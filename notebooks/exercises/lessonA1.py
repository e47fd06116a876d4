"""Exercises of lesson A1: votes for directions, the error of a blind guess, the steps of a run."""

import math

import torch

from exercises.verdict import Answer, ask, exercise, same


@exercise("A1.votes", (3, 4), (5, 2))
def votes(answer: Answer, height: int, width: int) -> str:
    dx, dy = torch.randn(2, height, width)
    length, angle = torch.hypot(dx, dy), torch.atan2(dy, dx)

    def right(a=angle, size=length, turn=math.pi / 4, power=4, least=0.0):
        cosine = (a - turn * torch.arange(8)[:, None, None]).cos()
        return size * cosine.clamp(min=least) ** power

    nearest = torch.zeros(8, height, width)
    which = (angle / (math.pi / 4)).round().long() % 8
    nearest.scatter_(0, which[None], length[None])
    cubed = right(size=length**4)
    known = {
        "the length is missing: a strong edge must count for more": right(size=1.0),
        "atan knows no quadrant, so opposite directions look alike: use atan2(dy, dx)": (
            right(a=torch.atan(dy / dx))
        ),
        "an opposite direction gets the same vote: cut negative cosines to 0": right(least=-1.0),
        "the fourth power is missing: the votes are too broad": right(power=1),
        "dx and dy have changed places: the angle is atan2(dy, dx)": right(a=torch.atan2(dx, dy)),
        "your eight directions cover half a turn only": right(turn=math.pi / 8),
        "the whole vote went to the nearest direction: share it by the cosine": nearest,
        "the whole product was raised to the fourth power: the length counts once": cubed,
        "the length counts once, not squared": right() * length,
        "torch.cos and atan2 work in radians; 45° is π / 4": right(turn=45.0),
        "torch.cos takes radians, and yours are degrees": right(a=torch.rad2deg(angle), turn=45.0),
    }
    same(ask(answer, dx, dy), right(), "votes", known)
    return "that is the heart of HOG; means over cells do the rest."


@exercise("A1.blind", (40, 7), (9, 3), (200, 1))
def blind(answer: Answer, n: int, t: int) -> str:
    targets = torch.randn(n, t) * torch.linspace(0.5, 3, t) + torch.linspace(-1, 4, t)
    gap = targets - targets.mean(dim=0)
    columns, rows = gap.square().mean(dim=0), targets - targets.mean(dim=1, keepdim=True)
    right, one = columns.mean(), targets.var(correction=0)
    known = {
        "that guesses 0 everywhere: the mean of each column is closer": targets.square().mean(),
        "that is one guess for all columns: each column may have its own": one,
        "that is one guess for all columns, and divides by N T - 1": targets.var(),
        "that divides by N - 1; a mean of N squared errors divides by N": right * n / (n - 1),
        "that is a standard deviation: the error is squared": right.sqrt(),
        "that is a mean standard deviation: the error is squared": columns.sqrt().mean(),
        "that is the sum over columns: take the mean over all N T numbers": right * t,
        "that is the mean absolute error": gap.abs().mean(),
        "the guess may differ between columns, not between pictures": rows.square().mean(),
    }
    if t == 1:  # one column: some mistakes make no difference
        known = {words: wrong for words, wrong in known.items() if abs(wrong - right) > 1e-3}
    same(ask(answer, targets), right, f"the error for {n} x {t} targets", known)
    return "whatever a network reports, it has to be below this."


@exercise("A1.steps", (10, 4, 3), (1000, 128, 5), (150_000, 128, 8), (256, 64, 2))
def steps(answer: Answer, images: int, batch: int, epochs: int) -> str:
    each, late = math.ceil(images / batch), math.ceil(epochs * images / batch)
    known = {
        "the smaller last batch of each epoch is missing": epochs * (images // batch),
        "rounded up too late: every epoch has its own smaller last batch": late,
        "rounded down, and only at the end: each epoch has its own smaller last batch": (
            epochs * images // batch
        ),
        "steps are a whole number: each epoch has its own last batch": epochs * images / batch,
        "full batches need no extra one: round up, do not add one": epochs * (images // batch + 1),
        "those are the steps of a single epoch": each,
        "that counts images, not batches": epochs * images,
    }
    what = f"the number of steps for {images} images, batch size {batch}, {epochs} epochs,"
    same(answer(images, batch, epochs), epochs * each, what, known)
    return "a schedule that is told this number ends exactly with the training."

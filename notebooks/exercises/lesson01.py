"""Exercises of lesson 01: LoRA counted, written as a function, as a layer, and merged."""

import torch
from torch import Tensor, nn

from exercises.verdict import Answer, ask, exercise, same, wrong_if

SIZES = [(7, 5, 2, 8.0), (4, 9, 3, 1.0), (12, 6, 4, 10)]  # in, out, rank, alpha


@exercise("01.count", (768, 768, 4), (128, 512, 3), (50, 20, 7))
def count(answer: Answer, n_in: int, n_out: int, rank: int) -> str:
    known = {
        "that is the count of the whole weight": n_in * n_out,
        "you multiplied in and out; A and B are two separate matrices": rank * n_in * n_out,
        "only A is counted, B is missing": rank * n_in,
        "only B is counted, A is missing": rank * n_out,
        "twice A is right for square maps only: what is the shape of B?": 2 * rank * n_in,
        "twice B is right for square maps only: what is the shape of A?": 2 * rank * n_out,
        "the frozen weight is counted too": n_in * n_out + rank * (n_in + n_out),
        "that is twice too many: A has r · in numbers, B has r · out": 2 * rank * (n_in + n_out),
    }
    what = f"the count for {n_in} to {n_out} at rank {rank}"
    same(answer(n_in, n_out, rank), rank * (n_in + n_out), what, known)
    return "r rows of A and r columns of B: the count grows with in + out."


@exercise("01.forward", *SIZES)
def forward(answer: Answer, n_in: int, n_out: int, rank: int, alpha: float) -> str:
    W, A, B, x = _weights(n_in, n_out, rank)
    A, B = A.requires_grad_(), B.requires_grad_()
    base, low = x @ W.T, x @ A.T @ B.T
    known = {
        "the frozen part x W^T is missing": alpha / rank * low,
        "the scale alpha / r is missing": base + low,
        "the update is multiplied by alpha, but not divided by r": base + alpha * low,
        "the scale is a whole number: you divide with // instead of /": base + alpha // rank * low,
        "the update is missing": base,
        "the scale is alpha / r, yours is r / alpha": base + rank / alpha * low,
        "the scale belongs to the update alone, not to x W^T": alpha / rank * (base + low),
        "r is the number of rows of A, yours is the size of x": base + alpha / n_in * low,
        "r is the number of columns of B, not of its rows": base + alpha / n_out * low,
    }
    got = answer(x, W, A, B, alpha)
    same(got, base + alpha / rank * low, "the output", known)
    _attached(got, A=A, B=B)
    return "the frozen map and the scaled update, added. A and B both get their gradients."


@exercise("01.layer", *SIZES)
def layer(answer: type[nn.Module], n_in: int, n_out: int, rank: int, alpha: float) -> str:
    W, A_new, B_new, x = _weights(n_in, n_out, rank)
    base = nn.Linear(n_in, n_out)
    base.weight.data.copy_(W)
    expected, mine = base(x).detach(), answer(base, rank, alpha)
    plain = not isinstance(mine, nn.Module)
    wrong_if(plain, "the class should be an nn.Module, so that PyTorch finds its parameters")
    start = ask(mine, x)
    A, B = _find(mine, base, n_in, n_out, rank)
    moved = start if (x @ A.T @ B.T).any() else expected
    known = {
        "the bias of the base layer was lost": x @ base.weight.T,
        "the frozen base is not added: before any training the output is zero": 0 * expected,
        "a new layer should change nothing: which matrix has to start at zero?": moved,
    }
    same(start, expected, "before any training the output", known)
    with torch.no_grad():
        A.copy_(A_new)
        B.copy_(B_new)
    low = x @ A.T @ B.T
    scales = {"missing": 1, "alpha // r": alpha // rank, "alpha": alpha}
    known = {
        f"the scale should be alpha / r; yours is {words}": expected + scale * low
        for words, scale in scales.items()
    }
    got, batch = mine(x), x.expand(2, *x.shape)  # (2, N, in), as the tokens of a ViT
    same(got, expected + alpha / rank * low, "once A and B are not zero, the output", known)
    _attached(got, A=A, B=B)
    same(mine(batch)[1], got, "the output for tokens (batch, tokens, in)")
    return "frozen base, the same outputs at the start, the right scale, gradients for A and B."


@exercise("01.merge", *SIZES)
def merge(answer: Answer, n_in: int, n_out: int, rank: int, alpha: float) -> str:
    W, A, B, _ = _weights(n_in, n_out, rank)
    low = B @ A
    known = {
        "that is ΔW alone: the frozen weight is missing": alpha / rank * low,
        "the scale alpha / r is missing": W + low,
        "ΔW is subtracted: that is how one un-merges": W - alpha / rank * low,
        "the scale is alpha / r, with one alpha and one division": W + alpha * low,
    }
    got = ask(answer, W, A, B, alpha, keep=True)
    same(got, W + alpha / rank * low, "the merged weight", known)
    return "one matrix of the old size: the merged layer costs nothing extra to run."


def _weights(n_in: int, n_out: int, rank: int) -> list[Tensor]:
    """W (out, in), A (r, in), B (out, r) and x (3, in)."""
    return [torch.randn(s) for s in ((n_out, n_in), (rank, n_in), (n_out, rank), (3, n_in))]


def _attached(output: Tensor, **parameters: Tensor) -> None:
    """Raise ``Mistake`` unless the gradient of the output reaches every parameter."""
    for name, parameter in parameters.items():
        found = None
        if output.requires_grad:
            loss = output.square().sum()
            (found,) = torch.autograd.grad(loss, parameter, retain_graph=True, allow_unused=True)
        cut = "something on the way (detach, no_grad, .data, .item) cuts it off"
        wrong_if(found is None, f"the output is right, but no gradient reaches {name}: {cut}")


def _find(mine: nn.Module, base: nn.Linear, n_in: int, n_out: int, rank: int) -> list[Tensor]:
    """The trainable A (r, in) and B (out, r) of the learner's layer, and nothing else."""
    trains = [p for p in mine.parameters() if p.requires_grad]
    which = [name for name, p in base.named_parameters() if any(p is q for q in trains)]
    wrong_if(which, f"the base is not frozen: {' and '.join(which)} would train")
    wrong_if(not trains, "nothing trains: PyTorch finds no parameter that requires a gradient")
    shapes, want = [tuple(p.shape) for p in trains], [(rank, n_in), (n_out, rank)]
    words = f"the trainable shapes are {shapes}; expected A {want[0]}, B {want[1]}"
    wrong_if(sorted(shapes) != sorted(want), words)
    A, B = (trains[shapes.index(shape)] for shape in want)
    words = "A and B are both zero: then neither ever gets a gradient, and nothing trains"
    wrong_if(not A.any() and not B.any(), words)
    return [A, B]

"""Exercises of lesson 07: a plan, the bill of several runs, holes."""

import math

from exercises.verdict import Answer, ask, exercise, same, several, wrong_if


@exercise("07.rate", (1097, 256, 6), (10_000, 300, 2), (50_000, 1024, 3), (7, 4, 5))
def rate(answer: Answer, examples: int, batch: int, epochs: int) -> str:
    q, steps, draws = several(ask(answer, examples, batch, epochs), "q, steps, draws")
    loader, floor, right = math.ceil(examples / batch), examples // batch, batch / examples
    known = {
        "q is 1 / len(loader): plain Opacus takes that, but it gives another expected batch than "
        "the one asked for, unless batches divide N": 1 / loader,
        "q is one over a number of batches; how likely is one example in one batch?": 1 / floor,
        "q is upside down: a probability is at most 1": 1 / right,
        "q does not depend on the number of epochs": right / epochs,
    }
    same(q, right, f"q for N = {examples}, batch {batch}", known)
    known = {
        "the steps were rounded down: a step not counted is privacy not paid for": epochs * floor,
        "those are the steps of one epoch": loader,
        "a number of steps is whole": epochs * examples / batch,
    }
    what = f"the number of steps for N = {examples}, batch {batch}, {epochs} epochs"
    same(steps, epochs * loader, what, known)
    drawn = right * epochs * loader
    known = {
        "draws is the number of epochs only if batches divide N: each of the steps draws the "
        "example with probability q": epochs,
        "draws is meant for one example, that is for all of them together": drawn * examples,
        "draws counts one epoch only": right * loader,
    }
    same(draws, drawn, "draws", known)
    return "q = batch / N and every step counted: this is what the accountant needs to know."


@exercise(
    "07.total",
    ([(2.0, 1e-4), (0.5, 3e-5)],),
    ([(1.0, 1e-5), (3.0, 2e-5), (2.5, 1e-6)],),
    ([(0.7, 1e-6), (0.7, 2e-6), (0.7, 3e-6), (0.1, 1e-6)],),
)
def total(answer: Answer, runs: list[tuple[float, float]]) -> str:
    epsilon, small = several(ask(answer, runs), "epsilon, delta")
    epsilons, deltas = zip(*runs)
    known = {
        "epsilon is the largest of the runs: that holds for runs on different people, and these "
        "are the same": max(epsilons),
        "epsilon is the last run's alone; the others were trained on the same data, and their "
        "results decided what came after": epsilons[-1],
        "epsilon is the smallest of the runs: what of the others?": min(epsilons),
        "epsilon is the mean: promises do not average out, they pile up": sum(epsilons) / len(runs),
        "epsilon is the root of the sum of squares: a proof with that shape (advanced composition) "
        "pays with a larger delta and other terms": math.hypot(*epsilons),
    }
    same(epsilon, sum(epsilons), "epsilon", known)
    known = {
        "delta is the largest of the runs: each run may fail, so these add up as well": max(deltas),
        "delta is the last run's alone": deltas[-1],
        "delta is a product: it is enough that one of the runs fails": math.prod(deltas),
    }
    same(small, sum(deltas), "delta", known)
    return "both add up, whether or not the runs were published: their results were looked at."


_SOUND = {"examples": 10_000, "delta": 1e-5, "drawn": "Poisson", "accounted": "Poisson"}
_SOUND |= {"tried": 1, "tuning_counted": False, "seed_published": False}


@exercise(
    "07.holes",
    ({}, set()),
    ({"delta": 1e-4}, {"delta"}),
    ({"delta": 1 / 512, "seed_published": True}, {"delta", "seed"}),
    ({"drawn": "shuffled"}, {"sampling"}),
    ({"drawn": "shuffled", "accounted": "shuffled"}, set()),
    ({"tried": 30}, {"tuning"}),
    ({"tried": 30, "tuning_counted": True}, set()),
    (
        {"delta": 1e-2, "drawn": "shuffled", "tried": 2, "seed_published": True},
        {"delta", "sampling", "tuning", "seed"},
    ),
)
def holes(answer: Answer, changes: dict[str, object], want: set[str]) -> str:
    statement = _SOUND | changes
    found = ask(answer, statement)
    kinds = isinstance(found, set) and found <= {"delta", "sampling", "tuning", "seed"}
    wrong_if(not kinds, f"return a set of some of the four names; yours is {found!r}")
    told = ", ".join(f"{name} = {value!r}" for name, value in statement.items())
    if statement["delta"] == 1 / statement["examples"]:
        wrong_if("delta" not in found, "a delta of exactly 1/N is a hole: it has to lie below")
    if statement["tried"] == 1 or statement["tuning_counted"]:
        wrong_if("tuning" in found, "a single training, or one whose tuning was counted, has no "
                 "hole there")  # fmt: skip
    if statement["drawn"] == statement["accounted"]:
        wrong_if("sampling" in found, "sampling is a hole where batches were not drawn as the "
                 "accountant was told; shuffled batches may be accounted as shuffled")  # fmt: skip
    missing, extra = want - found, found - want
    wrong_if(missing, f"{sorted(missing)} is missing for {told}")
    wrong_if(extra, f"{sorted(extra)} is no hole in {told}")
    return "and a statement without holes still speaks of one picture, and of the weights alone."

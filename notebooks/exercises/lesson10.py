"""Exercises of lesson 10: what an interval says of a claim, and keys for results."""

from exercises.verdict import Answer, ask, exercise, wrong_if


@exercise("10.judge")
def judge(answer: Answer) -> str:
    ahead = "more than a point ahead of full is not behind it: the claim has one side only"
    both = "the interval reaches to both sides of the line, so the runs do not decide"
    line = "the line is at one point behind, -1, and not at zero"
    for low, high, right, words in (
        (-1.8, -1.4, "fails", "all of the interval is more than a point behind"),
        (-0.9, -0.2, "holds", f"it is behind, but by less than a point: {line}"),
        (-0.7, 2.2, "holds", ahead),
        (1.3, 2.0, "holds", ahead),
        (-1.6, -0.9, "open", both),
        (-1.3, -0.2, "open", f"{both}; the middle alone does not say how sure it is"),
        (-2.5, 1.5, "open", both),
        (-1, 0.4, "holds", "at most one point behind: the line itself belongs to it"),
        (-3, -1, "open", "one point behind is still within the claim, and that end reaches it"),
    ):
        found = ask(answer, low, high)
        allowed = found in ("holds", "fails", "open")
        wrong_if(not allowed, f"judge({low}, {high}) is {found!r}; allowed: holds, fails, open")
        wrong_if(found != right, f"judge({low}, {high}) is {found!r}: {words}")
    return "and “open” is an answer: more keys would narrow the interval."


@exercise("10.key")
def key(answer: Answer) -> str:
    settings = {"dataset": "street", "method": "lora", "rank": 1, "epochs": 12, "seed": 0}
    first = ask(answer, settings)
    wrong_if(
        ask(answer, settings) != first,
        "asked twice, it gives two keys: a killed sweep would begin anew",
    )
    turned = ask(answer, dict(reversed(settings.items())))
    wrong_if(turned != first, "the same settings in another order get another key; sort them first")
    others = {"seed": 1, "dataset": "digits", "rank": 16, "epochs": 1, "method": "full"}
    for name, other in others.items():
        words = f"another {name} gets the same key: its run is skipped, the old result shown"
        wrong_if(ask(answer, settings | {name: other}) == first, words)
    swapped = ask(answer, settings | {"rank": 12, "epochs": 1})
    names = "rank 12 and epochs 1 get the key of rank 1 and epochs 12: keep the names too"
    wrong_if(swapped == first, names)
    near = ask(answer, settings | {"rank": 11, "epochs": 2})
    words = "the values run into one another; keep names and separators in the text"
    wrong_if(near == first, f"rank 1, epochs 12 gets the key of rank 11, epochs 2: {words}")
    wrong_if(ask(answer, {"a": 1, "b": 23}) == ask(answer, {"a": 12, "b": 3}), words)
    return "equal settings, equal key; anything else is another run."

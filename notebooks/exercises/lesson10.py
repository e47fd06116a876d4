"""The exercise of lesson 10: keys for results."""

from exercises.verdict import Answer, ask, exercise, wrong_if


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

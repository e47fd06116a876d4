"""Exercises of lesson 10: keys for results, and shares of parameters."""

from __future__ import annotations

from collections.abc import Callable

from exercises.verdict import Mistake, begun, exercise, same


@exercise("10.share")
def share(function: Callable) -> str:
    """Trainable parameters over those of the backbone without LoRA."""
    counts = {"total": 1_500_000, "trainable": 320_000, "head": 20_000, "lora": 200_000,
              "patch_embed": 100_000, "position": 0, "backbone": 0}  # fmt: skip
    got = function(dict(counts))
    same(
        got,
        320_000 / 1_300_000,
        "the share",
        {
            "the total counts LoRA's own parameters too; the backbone had fewer": 320 / 1500,
            "that is in per cent; a share is between 0 and 1": 32_000 / 1300,
            "the head trains too, and belongs to what is trained": 300 / 1300,
            "that is LoRA alone; head and patch embedding train too": 200 / 1300,
        },
    )
    return "against the model as it was before LoRA, as the paper counts."


@exercise("10.key")
def key(function: Callable) -> str:
    """A key for the table: equal for equal settings, different for any difference."""
    settings = {"dataset": "street", "method": "lora", "rank": 1, "epochs": 12, "seed": 0}
    first = begun(function(dict(settings)))
    if function(dict(settings)) != first:
        raise Mistake("asked twice, it gives two keys: a killed sweep would begin anew")
    if function(dict(reversed(settings.items()))) != first:
        raise Mistake("the same settings in another order get another key; sort them first")
    for name, other in (
        ("seed", 1),
        ("dataset", "digits"),
        ("rank", 16),
        ("epochs", 1),
        ("method", "full"),
    ):
        if function({**settings, name: other}) == first:
            raise Mistake(
                f"with another {name} the key is the same, so the run would be skipped and the old "
                "result shown for it"
            )
    if function({**settings, "rank": 12, "epochs": 1}) == first:
        raise Mistake(
            "rank 12 and epochs 1 get the key of rank 1 and epochs 12: keep the names too"
        )
    if function({**settings, "rank": 11, "epochs": 2}) == function(
        {**settings, "rank": 1, "epochs": 12}
    ) or function({"a": 1, "b": 23}) == function({"a": 12, "b": 3}):
        raise Mistake(
            "rank 1, epochs 12 gets the key of rank 11, epochs 2: the values run into one another; "
            "keep names and separators in the text"
        )
    return "equal settings, equal key; anything else is another run."

"""Wrong answers to the exercises of lesson 04, with words of the message they must get."""

_THROUGH = """
def seen_by_frozen(E, pixels, flips):
    sign = 1 - 2 * flips.to(E.dtype)
    return {}
"""

_GAP = """
from scipy.stats import t
def gap(rows, method):
    wide = rows.pivot(index="seed", columns="method", values="accuracy")
    d = 100 * (wide["full"] - wide[method]).dropna()
    n = len(d)
    return {}
"""

WRONG = {
    "04.through": [
        (
            "is its inverse",
            _THROUGH.format("(E * sign)[:, pixels].unflatten(1, (3, -1)).sum(1)"),
        ),
        (
            "one channel is kept",
            _THROUGH.format("(E * sign)[:, pixels.argsort()][:, : E.shape[1] // 3]"),
        ),
        ("forgotten", _THROUGH.format("E[:, pixels.argsort()].unflatten(1, (3, -1)).sum(1)")),
        (
            "wrong columns",
            _THROUGH.format("(E[:, pixels.argsort()] * sign).unflatten(1, (3, -1)).sum(1)"),
        ),
        (
            "p² columns apart",
            _THROUGH.format("(E * sign)[:, pixels.argsort()].unflatten(1, (-1, 3)).sum(2)"),
        ),
        (
            "their mean",
            _THROUGH.format("(E * sign)[:, pixels.argsort()].unflatten(1, (3, -1)).mean(1)"),
        ),
        ("not added up yet", _THROUGH.format("(E * sign)[:, pixels.argsort()]")),
        ("key is not used", _THROUGH.format("E.unflatten(1, (3, -1)).sum(1)")),
    ],
    "04.experiment": [
        (
            "lacks ['negative']",
            """
answer = Experiment(train=2000, cipher="shuffle", rank=8, targets="proj+fc1+fc2",
                    recipe=Recipe(epochs=3), seed=1)
""",
        ),
        (
            "has ['scramble'] too many",
            """
answer = Experiment(train=2000, cipher="scramble+shuffle+negative", rank=8,
                    targets="proj+fc1+fc2", recipe=Recipe(epochs=3), seed=1)
""",
        ),
        (
            "leaves the patch embedding frozen",
            """
answer = Experiment(train=2000, cipher="shuffle+negative", method="lora", rank=8,
                    targets="proj+fc1+fc2", recipe=Recipe(epochs=3), seed=1)
""",
        ),
        (
            "is not the paper's method",
            """
answer = Experiment(train=2000, cipher="shuffle+negative", method="patch",
                    recipe=Recipe(epochs=3), seed=1)
""",
        ),
        (
            "LoRA sits on 'q+v'",
            """
answer = Experiment(train=2000, cipher="shuffle+negative", rank=8, recipe=Recipe(epochs=3), seed=1)
""",
        ),
        (
            "rank is 4",
            """
answer = Experiment(train=2000, cipher="shuffle+negative", targets="proj+fc1+fc2",
                    recipe=Recipe(epochs=3), seed=1)
""",
        ),
        (
            "should be of type Experiment",
            """
answer = {"train": 2000, "cipher": "shuffle+negative"}
""",
        ),
    ],
    "04.gap": [
        (
            "keep whole pairs",
            _GAP.format("100 * (wide['full'].mean() - wide[method].mean()), d.sem()"),
        ),
        ("the other way round", _GAP.format("-d.mean(), d.sem()")),
        ("in points it is 100 times", _GAP.format("d.mean() / 100, d.sem()")),
        (
            "the best seeds",
            _GAP.format("100 * (wide['full'].max() - wide[method].max()), d.sem()"),
        ),
        ("Student's t is wider", _GAP.format("(d.mean(), 1.96 * d.sem())")),
        ("dividing by √n", _GAP.format("d.mean(), t.ppf(0.975, n - 1) * d.std()")),
        ("n - 1 degrees", _GAP.format("d.mean(), t.ppf(0.975, n) * d.sem()")),
        (
            "divide by n - 1 already",
            _GAP.format("d.mean(), t.ppf(0.975, n - 1) * d.std(ddof=0) / n**0.5"),
        ),
        (
            "without a partner",
            _GAP.replace(".dropna()", "").format("d.mean(), t.ppf(0.975, n - 1) * d.sem()"),
        ),
        (
            "and for √n",
            _GAP.replace(".dropna()", "").format(
                "d.mean(), t.ppf(0.975, n - 1) * d.std() / n**0.5"
            ),
        ),
        (
            "their place in the table",
            """
from scipy.stats import t
def gap(rows, method):
    full, mine = (rows[rows["method"] == m]["accuracy"].to_numpy() for m in ("full", method))
    d = 100 * (full - mine)
    return d.mean(), t.ppf(0.975, len(d) - 1) * d.std(ddof=1) / len(d) ** 0.5
""",
        ),
        (
            "in the order of the table",
            """
from scipy.stats import t
def gap(rows, method):
    full, mine = rows[rows["method"] == "full"], rows[rows["method"] == method]
    full, mine = full[full["seed"].isin(mine["seed"])], mine[mine["seed"].isin(full["seed"])]
    d = 100 * (full["accuracy"].to_numpy() - mine["accuracy"].to_numpy())
    return d.mean(), t.ppf(0.975, len(d) - 1) * d.std(ddof=1) / len(d) ** 0.5
""",
        ),
        ("90 % interval", _GAP.format("d.mean(), t.ppf(0.95, n - 1) * d.sem()")),
        (
            "treated as strangers",
            _GAP.format(
                "d.mean(), 100 * t.ppf(0.975, n - 1)"
                " * (wide['full'].sem() ** 2 + wide[method].sem() ** 2) ** 0.5"
            ),
        ),
        ("return 2 values", _GAP.format("[d.mean()]")),
    ],
}

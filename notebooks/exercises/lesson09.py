"""Exercises of lesson 09: read a results table without fooling yourself."""

import numpy as np
import pandas as pd
import torch
from scipy.stats import t

from exercises.verdict import Answer, ask, exercise, same, wrong_if

_ROWS = pd.DataFrame(
    [
        ("probe", 1_290, 2.0, (0.70, 0.71, 0.72)),
        ("lora", 13_578, 2.0, (0.60, 0.62, 0.90)),  # one lucky seed
        ("lora+patch", 38_282, 2.0, (0.79, 0.80, 0.81)),
        ("lora+patch", 38_282, 0.5, (0.40, 0.41, 0.42)),
        ("full", 1_218_186, 2.0, (0.93, 0.94, 0.95)),
        ("bitfit", 9_000, 8.0, (0.97, 0.98, 0.99)),
    ],
    columns=["method", "trainable", "epsilon", "accuracy"],
).explode("accuracy", ignore_index=True)

_AT_THE_LIMIT = _ROWS[_ROWS["method"].isin(["probe", "lora+patch"]) & (_ROWS["epsilon"] == 2.0)]
_AT_THE_LIMIT = pd.concat([_ROWS.iloc[:3].assign(epsilon=0.5), _AT_THE_LIMIT.iloc[3:]])
_STRICTER = _ROWS[_ROWS["method"].isin(["probe", "full"])]
_STRICTER = _STRICTER.assign(epsilon=_STRICTER["method"].map({"probe": 2.0, "full": 1.0}))


@exercise("09.interval", (3,), (5,), (12,))
def interval(answer: Answer, n: int) -> str:
    x = 0.8 + 0.05 * torch.randn(n).numpy()
    error, biased = np.std(x, ddof=1) / np.sqrt(n), np.std(x) / np.sqrt(n)
    wide, one_sided = t.ppf(0.975, n - 1), t.ppf(0.95, n - 1) * error
    known = {
        "1.96 is for many seeds; a few need Student's t, n - 1 degrees of freedom": 1.96 * error,
        "that is the spread of single runs; the mean of n runs varies less, by a factor of the "
        "root of n": wide * error * np.sqrt(n),
        "divide the squares by n - 1, not n: the mean comes from the same runs": wide * biased,
        "divide the squares by n - 1, and take Student's t instead of 1.96": 1.96 * biased,
        "use n - 1 degrees of freedom, not n": t.ppf(0.975, n) * error,
        "that is a one-sided 95 % bound; half of the 5 % lies on either side": one_sided,
        "that is the whole width; the half-width was asked for": 2 * wide * error,
    }
    same(answer(x), wide * error, "the half-width", known)
    return "with three runs it is 2.5 standard deviations to either side: three seeds say little."


@exercise("09.best")
def best(answer: Answer) -> str:
    got = ask(answer, _ROWS, 50_000, 2.0)
    mistakes = {
        "full": "full trains more parameters than the budget allows",
        "bitfit": "bitfit was trained with a larger epsilon than the budget allows",
        "lora": "lora has the best single run, by one lucky seed; compare means over seeds",
        "probe": "runs with a smaller epsilon are averaged in: they are another setting. Keep one "
        "line for each method and epsilon",
    }
    words = mistakes.get(got, f"the name of a method was asked for, not {got!r}")
    wrong_if(got != "lora+patch", words)
    words = "a smaller epsilon promises more: it is within the limit too, so compare with <="
    wrong_if(ask(answer, _STRICTER, 2_000_000, 2.0) != "full", words)
    words = "a limit is included: what trains exactly so many, at exactly this epsilon, is allowed"
    wrong_if(ask(answer, _AT_THE_LIMIT, 38_282, 2.0) != "lora+patch", words)
    words = "with a budget of 2,000 parameters another method is best: use both limits"
    wrong_if(ask(answer, _ROWS, 2_000, 8.0) != "probe", words)
    return "the best mean within both limits, not the best run."

"""Wrong answers to the exercises of lesson 09, and words of what the learner is told."""

_BEST = """
def best_method(rows, parameters, epsilon):
    mine = rows[{filter}]
    return {answer}
"""
_BOTH = '(rows["trainable"] <= parameters) & (rows["epsilon"] <= epsilon)'
_MEAN = 'mine.groupby(["method", "epsilon"])["accuracy"].mean().idxmax()[0]'

WRONG = {
    "09.interval": [
        ("1.96", "def half_width(x):\n    return 1.96 * x.std(ddof=1) / np.sqrt(len(x))"),
        ("n - 1, not n", "def half_width(x):\n"
         "    return t.ppf(0.975, len(x) - 1) * x.std() / np.sqrt(len(x))"),
        ("Student's t instead", "def half_width(x):\n    return 1.96 * x.std() / np.sqrt(len(x))"),
        ("single runs", "def half_width(x):\n    return t.ppf(0.975, len(x) - 1) * x.std(ddof=1)"),
        ("one-sided", "def half_width(x):\n"
         "    return t.ppf(0.95, len(x) - 1) * x.std(ddof=1) / np.sqrt(len(x))"),
    ],
    "09.best": [
        ("more parameters", _BEST.format(filter='rows["epsilon"] <= epsilon', answer=_MEAN)),
        ("larger epsilon", _BEST.format(filter='rows["trainable"] <= parameters', answer=_MEAN)),
        ("lucky seed", _BEST.format(
            filter=_BOTH, answer='mine.loc[mine["accuracy"].idxmax(), "method"]')),
        ("averaged in", _BEST.format(
            filter=_BOTH, answer='mine.groupby("method")["accuracy"].mean().idxmax()')),
        ("within the limit too", _BEST.format(
            filter='(rows["trainable"] <= parameters) & (rows["epsilon"] == epsilon)',
            answer=_MEAN)),
        ("limit is included", _BEST.format(
            filter='(rows["trainable"] < parameters) & (rows["epsilon"] <= epsilon)',
            answer=_MEAN)),
        ("limit is included", _BEST.format(
            filter='(rows["trainable"] <= parameters) & (rows["epsilon"] < epsilon)',
            answer=_MEAN)),
    ],
}  # fmt: skip

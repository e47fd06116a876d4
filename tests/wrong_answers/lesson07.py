"""Wrong answers to the exercises of lesson 07, and words that the verdict must hold."""

_PLAN = "import math\ndef plan(examples, batch_size, epochs):\n"
_TOTAL = "def total(runs):\n"
_HOLES = """def holes(s):
    found = set()
    if s['delta'] >= 1 / s['examples']:
        found.add('delta')
    if s['drawn'] != s['accounted']:
        found.add('sampling')
    if s['tried'] > 1 and not s['tuning_counted']:
        found.add('tuning')
    if s['seed_published']:
        found.add('seed')
"""

WRONG = {
    "07.rate": [
        (
            "1 / len(loader)",
            _PLAN + "    n = math.ceil(examples / batch_size)\n"
            "    return 1 / n, n * epochs, epochs",
        ),
        (
            "rounded down",
            _PLAN + "    q = batch_size / examples\n    n = epochs * (examples // batch_size)\n"
            "    return q, n, q * n",
        ),
        (
            "steps of one epoch",
            _PLAN + "    q = batch_size / examples\n    n = math.ceil(examples / batch_size)\n"
            "    return q, n, q * n",
        ),
        (
            "only if batches divide N",
            _PLAN + "    n = epochs * math.ceil(examples / batch_size)\n"
            "    return batch_size / examples, n, epochs",
        ),
        ("upside down", _PLAN + "    return examples / batch_size, 1, 1"),
        ("3 values", _PLAN + "    return batch_size / examples"),
    ],
    "07.total": [
        (
            "the largest of the runs: that holds",
            _TOTAL + "    return max(e for e, _ in runs), sum(d for _, d in runs)",
        ),
        ("the last run's alone; the others", _TOTAL + "    return runs[-1]"),
        (
            "delta is the largest",
            _TOTAL + "    return sum(e for e, _ in runs), max(d for _, d in runs)",
        ),
        (
            "advanced composition",
            _TOTAL + "    return sum(e**2 for e, _ in runs) ** 0.5, sum(d for _, d in runs)",
        ),
        ("2 values", _TOTAL + "    return sum(e for e, _ in runs)"),
    ],
    "07.holes": [
        (
            "exactly 1/N",
            _HOLES.replace(">=", ">") + "    return found",
        ),
        (
            "accounted as shuffled",
            _HOLES.replace("!= s['accounted']", "!= 'Poisson'") + "    return found",
        ),
        (
            "whose tuning was counted",
            _HOLES.replace(" and not s['tuning_counted']", "") + "    return found",
        ),
        ("return a set", _HOLES + "    return sorted(found)"),
        ("['seed'] is missing", _HOLES + "    return found - {'seed'}"),
    ],
}

"""Wrong answers to the exercises of lesson 10, and words of what the learner is told."""

WRONG = {
    "10.judge": [
        ("one side only", "def judge(low, high):\n    if -1 <= low and high <= 1:\n"
         "        return 'holds'\n    return 'fails' if high < -1 else 'open'"),
        ("both sides of the line", "def judge(low, high):\n"
         "    return 'holds' if (low + high) / 2 >= -1 else 'fails'"),
        ("not at zero", "def judge(low, high):\n    if low >= 0:\n        return 'holds'\n"
         "    return 'fails' if high < 0 else 'open'"),
        ("allowed: holds", "def judge(low, high):\n    return low >= -1"),
    ],
    "10.key": [
        ("another order", "def key(settings):\n    return json.dumps(settings)"),
        ("another seed", "def key(settings):\n"
         "    return json.dumps({k: v for k, v in sorted(settings.items()) if k != 'seed'})"),
        ("run into one another", "def key(settings):\n"
         "    return ''.join(str(settings[k]) for k in sorted(settings))"),
        ("keep the names", "def key(settings):\n"
         "    return json.dumps(sorted(map(str, settings.values())))"),
        ("two keys", "def key(settings):\n    import random\n    return random.random()"),
    ],
}  # fmt: skip

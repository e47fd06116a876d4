"""Wrong answers to the exercise of lesson 10, and words of what the learner is told."""

WRONG = {
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

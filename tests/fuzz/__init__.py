"""Damaged files, odd pictures, wrong arguments: refused in words, or harmless.

Every run tries the same cases. ``LORAKIT_FUZZ=10000 pytest -n0 --timeout 0 -s tests/fuzz`` is the
long form: that many cases of each kind (half an hour), and it prints how each kind ended.
"""

import os
import random
from collections import Counter

from hypothesis import HealthCheck, settings

LONG = int(os.environ.get("LORAKIT_FUZZ", "0"))
ends: Counter = Counter()  # (kind, end): how many cases


def cases(short):
    """Hypothesis settings: so many cases, always the same ones; in the long form ``LONG``."""
    return settings(
        max_examples=LONG or short,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


def mutated(content: bytes, seed: int) -> tuple[str, bytes]:
    """A file after one kind of damage; the kind says where or how."""
    rng = random.Random(seed)
    kind = rng.choice(
        ["flip", "flips", "head", "digit", "cut", "insert", "delete", "swap", "noise"]
    )
    bad = bytearray(content)
    place, other = sorted(rng.randrange(len(bad)) for _ in range(2))
    if kind in ("flip", "flips", "head"):
        for _ in range(rng.randint(2, 6) if kind == "flips" else 1):
            at = rng.randrange(len(bad) if kind != "head" else min(len(bad), 1500))
            bad[at] ^= 1 << rng.randrange(8)
    elif kind == "digit":
        digits = [n for n, byte in enumerate(bad[:4000]) if chr(byte).isdigit()]
        bad[rng.choice(digits)] = rng.choice(b"0123456789")
    elif kind == "cut":
        del bad[place:]
    elif kind == "insert":
        bad[place:place] = rng.randbytes(rng.randint(1, 9))
    elif kind == "delete":
        del bad[place : place + rng.randint(1, 9)]
    elif kind == "swap":
        size = rng.randint(1, 40)
        bad[place : place + size], bad[other : other + size] = (
            content[other : other + size],
            content[place : place + size],
        )
    else:
        bad = bytearray(rng.randbytes(rng.randint(1, 2000)))
    return kind, bytes(bad)

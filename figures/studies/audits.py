"""Audits of DP-SGD and of broken variants of it: ``python -m figures.studies.audits``; it resumes.

Each is audited 20 times; prints how many of the audits refute the claim.
"""

from itertools import product
from pathlib import Path

import pandas as pd

from lorakit.experiments.audit import ATTACKS, VARIANTS, audit_head, detections
from lorakit.runtime import write_atomic

TABLE = Path("figures/results/audits.csv")


def run_audits(audits: int = 20) -> pd.DataFrame:
    """A row an audit, with the bound of each attack; those in the table are not run again."""
    rows = pd.read_csv(TABLE).to_dict("records") if TABLE.exists() else []
    done = {(row["variant"], row["seed"]) for row in rows}
    for seed, variant in product(range(audits), VARIANTS):
        if (variant, seed) not in done:
            found = audit_head(variant, seed)
            bounds = {name: found[name].epsilon_lower for name in ATTACKS}
            row = {"variant": variant, "seed": seed, "claimed": found["curve"].epsilon_claimed}
            rows.append(row | bounds | {n: found[n] for n in ("accuracy", "steps")})
            write_atomic(pd.DataFrame(rows).round(4).to_csv(index=False), TABLE)
    return pd.DataFrame(rows)


if __name__ == "__main__":
    print(detections(run_audits()).round(3).to_string(index=False))

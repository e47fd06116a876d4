"""Give the rows of results tables the ids and columns of today's settings.

``python figures/results/renew_ids.py TABLE.csv ...``: settings that are gone lose their column if
they had their default, renamed ones get their new name, and each row the id of its experiment.
Values that were measured are not touched.
"""

import sys
from dataclasses import fields
from pathlib import Path

import pandas as pd

from lorakit import Experiment
from lorakit.runtime import write_atomic
from lorakit.training.recipe import Recipe

GONE = {"label_smoothing": 0.0}
RENAMED = {"measure": "eval_split"}
WHOLE = {f.name for kind in (Experiment, Recipe) for f in fields(kind) if f.type.startswith("int")}


def experiment_of(row: pd.Series) -> Experiment:
    """The experiment whose settings a row holds."""
    there = row.dropna().to_dict()
    names = Experiment(train=1000).settings()
    given = {n: int(v) if n in WHOLE else v for n, v in there.items() if n in names}
    return Experiment.from_settings(**given)


def renew(path: Path) -> None:
    """Rewrite one table."""
    rows = pd.read_csv(path, dtype={"id": str}, keep_default_na=False, na_values=[""])
    rows = rows.rename(columns=RENAMED)
    for name, default in GONE.items():
        if name in rows and (rows.pop(name) != default).any():
            raise ValueError(f"{path}: {name} is not {default} everywhere")
    rows["id"] = [experiment_of(row).id for _, row in rows.iterrows()]
    if not rows["id"].is_unique:
        raise ValueError(f"{path}: two rows have the same settings")
    write_atomic(rows.to_csv(index=False), path)


if __name__ == "__main__":
    for name in sys.argv[1:]:
        renew(Path(name))

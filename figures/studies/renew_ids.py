"""Give the rows of results tables the ids, columns and checks of today.

``python -m figures.studies.renew_ids TABLE.csv ...``: settings that are gone lose their column if
they had their default, renamed ones get their new name, and each row the id of its experiment and
the check over its values. Values that were measured are not touched.
"""

import sys
from pathlib import Path

import pandas as pd

from lorakit import Experiment, read_table
from lorakit.experiments.table_file import read_rows, write_rows

GONE = {"label_smoothing": 0.0}
RENAMED = {"measure": "eval_split", "clip_apart": "groupwise_clipping"}


def experiment_of(row: pd.Series) -> Experiment:
    """The experiment whose settings a row holds."""
    names = Experiment().settings()
    return Experiment.from_settings(**{n: v for n, v in row.items() if n in names})


def renew(path: Path) -> None:
    """Rewrite one table."""
    values = read_table(path).rename(columns=RENAMED)
    rows = [
        {RENAMED.get(n, n): v for n, v in row.items() if n not in GONE} for row in read_rows(path)
    ]
    for name, default in GONE.items():
        if name in values and (values[name] != default).any():
            raise ValueError(f"{path}: {name} is not {default} everywhere")
    for row, (_, settings) in zip(rows, values.iterrows()):
        experiment = experiment_of(settings)
        row |= {name: "" for name in experiment.settings() if name not in row}  # newer settings
        row["id"] = experiment.id
    if len({row["id"] for row in rows}) < len(rows):
        raise ValueError(f"{path}: two rows have the same settings")
    write_rows(rows, path)


if __name__ == "__main__":
    for name in sys.argv[1:]:
        renew(Path(name))

"""The results table: a CSV file, one row an experiment, with a check over the values of each row.

A changed digit looks like a result; the check tells it apart. Tables without the column ``check``,
edited or made elsewhere, are read with a warning.
"""

import csv
import hashlib
import json
import math
import warnings
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from difflib import get_close_matches
from io import StringIO
from pathlib import Path

import pandas as pd
from filelock import FileLock

from lorakit.checks import check_number, checked
from lorakit.runtime import write_atomic

_MAY_BE_EMPTY = ("targets", "rank")  # methods without LoRA have neither
_NUMBERS = {"accuracy": {"most": 1}, "seed": {}, "trainable": {}, "total": {}}
REQUIRED = ("id", "dataset", "cipher", "method", "backbone", *_NUMBERS, *_MAY_BE_EMPTY)
Row = dict[str, str]  # values as they are in the file, without the check


@checked
def read_table(path: str | Path) -> pd.DataFrame:
    """Read a results table; ValueError if it is none, was damaged, or joined from several."""
    rows = read_rows(path)
    names = dict.fromkeys(name for row in rows for name in row) or REQUIRED
    return pd.DataFrame({name: _column(name, [row[name] for row in rows]) for name in names})


@checked
def append_row(row: dict[str, object], path: str | Path) -> None:
    """Add one row to a table, or replace the row with its id, in one atomic step."""
    path = Path(path).resolve()
    new = {name: "" if value is None else str(value) for name, value in row.items()}
    with FileLock(path.with_name(f".{path.name}.lock")):
        old = read_rows(path) if path.exists() else []
        write_rows([*(r for r in old if r["id"] != new["id"]), new], path)


def read_rows(path: str | Path) -> list[Row]:
    """The rows of a table as text, checked; errors as in ``read_table``."""
    path, where = Path(path), f"path={str(path)!r}"
    if not path.exists():
        raise FileNotFoundError(f"{where}: no such table; make it with lorakit.sweep")
    try:
        lines = csv.reader(StringIO(path.read_bytes().decode("utf-8-sig"), newline=""), strict=True)
        names, *lines = filter(None, lines)
    except (ValueError, csv.Error) as error:
        raise ValueError(f"{where}: not a CSV table ({error})") from error
    try:
        rows = _checked(names, lines)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None
    if rows and "check" not in names:
        warnings.warn(f"{where}: no column 'check', damage is not seen", stacklevel=3)
    return rows


def write_rows(rows: Iterable[Row], path: str | Path) -> None:
    """Write rows as a table, each with its check, in one atomic step."""
    rows = list(rows)
    table = pd.DataFrame(rows, columns=None if rows else REQUIRED)
    table = table.assign(check=[_check(row) for row in rows])
    write_atomic(table.to_csv(index=False, lineterminator="\n"), path)


def _checked(names: list[str], lines: list[list[str]]) -> list[Row]:
    if missing := [name for name in REQUIRED if name not in names]:
        raise ValueError(f"not a results table, columns {missing} are missing")
    if twice := _twice(names):
        raise ValueError(f"columns {twice} are there twice")
    if "check" not in names and (near := get_close_matches("check", names)):
        raise ValueError(f"the header is damaged: column {near[0]!r} should be 'check'")
    rows = []
    for place, values in enumerate(lines, 1):
        if values == names:
            raise ValueError(f"row {place} is the header again: tables were joined; take it out")
        if len(values) != len(names):
            raise ValueError(f"row {place} has {len(values)} values for {len(names)} columns")
        row = dict(zip(names, values))
        check = row.pop("check", None)
        if check not in (None, _check(row)):
            raise ValueError(
                f"row {place} is damaged: not the values that were written; restore it from a "
                "copy or take the row out (or the column 'check', if it was changed on purpose)"
            )
        if empty := [n for n in REQUIRED if n not in _MAY_BE_EMPTY and not row[n]]:
            raise ValueError(f"row {place}: values are missing in columns {empty}")
        for name, bounds in _NUMBERS.items():
            value = _column(name, [row[name]])[0]
            check_number(f"row {place}: {name}", value, least=0, **bounds)
        rows.append(row)
    if twice := _twice(row["id"] for row in rows):
        raise ValueError(f"rows with the same id: {twice[:4]}; keep one of each")
    return rows


def _check(row: Row) -> str:
    """A hash of names and values; empty ones do not count, as other rows may add columns."""
    text = json.dumps(sorted(item for item in row.items() if item[1]))
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _twice(values: Iterable[str]) -> list[str]:
    return [value for value, count in Counter(values).items() if count > 1]


def _column(name: str, texts: list[str]) -> list:
    """Whole numbers, numbers, truth values or text; what is empty is missing."""
    for kind in () if name == "id" else (int, float, {"True": True, "False": False}.__getitem__):
        with suppress(ValueError, KeyError):
            return [kind(text) if text else math.nan for text in texts]
    return [text or math.nan for text in texts]

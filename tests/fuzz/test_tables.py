"""A results table is what was written, row by row, or it is refused."""

import multiprocessing
import os
import time
import warnings

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorakit import Experiment, read_table
from lorakit.experiments.table_file import append_row, write_rows

from . import cases, ends, mutated


def row(seed, **more):
    """What ``run`` reports, made up."""
    e = Experiment.from_settings(dataset="digits", seed=seed, epochs=1, **more)
    measured = {"accuracy": 1 / (seed + 1.1), "loss": 0.1 * seed, "trainable": 1290}
    return {"id": e.id, **e.settings(), **measured, "total": 1_218_186, "device": "cpu, 1 thread"}


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "rows.csv"
    for seed in range(4):
        append_row(row(seed, method=("probe", "lora")[seed % 2]), path)
    return path


def test_values_come_back_exactly_and_unknown_columns_too(table):
    append_row({**row(9), "note": 'mine, "all"\nof it', "accuracy": 0.1 + 0.2}, table)
    rows = read_table(table)
    assert list(rows["accuracy"]) == [1 / (s + 1.1) for s in range(4)] + [0.1 + 0.2]
    assert rows["note"].iloc[-1] == 'mine, "all"\nof it' and rows["note"].isna().sum() == 4
    assert rows["epsilon"].iloc[0] == float("inf") and "check" not in rows
    append_row({**row(9), "accuracy": 0.5}, table)
    assert len(read_table(table)) == 5 and read_table(table)["accuracy"].iloc[-1] == 0.5


@given(seed=st.integers(0, 2**40))
@cases(400)
def test_no_damage_changes_a_value(table, seed):
    good = table.read_bytes()
    kind, bad = mutated(good, seed)
    path = table.with_name("bad.csv")
    path.write_bytes(bad)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            rows = read_table(path)
        except ValueError as error:
            assert str(path) in str(error)
            ends["table", f"{kind} refused"] += 1
            return
    known = read_table(table)
    if not said:  # a cut between two rows leaves whole rows
        pd.testing.assert_frame_equal(
            rows.dropna(axis=1, how="all"),
            known[known["id"].isin(rows["id"])].reset_index(drop=True).dropna(axis=1, how="all"),
            check_dtype=False,
        )
        ends["table", f"{kind}: whole rows"] += 1
    else:
        assert "no column 'check'" in str(said[0].message)
        assert set(rows["accuracy"]) <= set(known["accuracy"])
        ends["table", f"{kind}: read with a warning"] += 1


@pytest.mark.parametrize("checked", [True, False])
def test_what_is_no_table_of_results_is_refused_in_words(table, checked):
    text = table.read_text()
    if not checked:
        pd.read_csv(table, dtype=str, keep_default_na=False).drop(columns="check").to_csv(
            table, index=False
        )
        with pytest.warns(UserWarning, match="no column 'check'"):
            assert len(read_table(table)) == 4
        text = table.read_text()
    head, first, *others = text.splitlines()
    accuracy = str(1 / 1.1)
    for lines, words in (
        ([head, first, first], "same id"),
        ([head, first, head, *others], "row 2 is the header again"),
        ([head + ",accuracy", first + ",0.9"], "'accuracy'.*twice"),
        ([head, first.replace(accuracy, "90.91%")], "damaged" if checked else "accuracy='90.91%'"),
        ([head, first.replace(accuracy, "90.91")], "damaged" if checked else "at most 1"),
        ([head, first.replace(accuracy, "")], "damaged" if checked else "missing.*accuracy"),
        ([head, first[:-30]], "row 1 (has|is damaged)"),
    ):
        table.write_text("\n".join(lines) + "\n")
        with pytest.raises(ValueError, match=words), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            read_table(table)


def test_a_table_without_checks_gets_them_with_the_next_row(table):
    rows = pd.read_csv(table, dtype=str, keep_default_na=False).drop(columns="check")
    rows.to_csv(table, index=False)
    with pytest.warns(UserWarning):
        append_row(row(7), table)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(read_table(table)) == 5


def append_all(path, seeds, start):
    start.wait()
    for seed in seeds:
        append_row(row(seed), path)


def test_two_writers_lose_and_double_nothing_through_a_link_or_not(tmp_path):
    """120 rows each, 40 of them the same: one names the table by a link."""
    table, link = tmp_path / "there" / "rows.csv", tmp_path / "link.csv"
    table.parent.mkdir()
    append_row(row(0), table)
    link.symlink_to(table)
    context = multiprocessing.get_context("fork")
    start = context.Barrier(2)
    work = ((table, range(120), start), (link, range(80, 200), start))
    writers = [context.Process(target=append_all, args=arguments) for arguments in work]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    rows = read_table(table)
    assert sorted(rows["seed"]) == list(range(200)) and link.is_symlink()
    assert sorted(os.listdir(table.parent)) == [".rows.csv.lock", "rows.csv"]


def test_a_large_table_still_grows_quickly(tmp_path):
    table = tmp_path / "rows.csv"
    append_row(row(0), table)
    head, first = table.read_text().splitlines()
    rows = [row(seed) for seed in range(1, 1000)]
    write_rows([{n: "" if v is None else str(v) for n, v in r.items()} for r in rows], table)
    start = time.perf_counter()
    append_row(row(0), table)
    assert time.perf_counter() - start < 1 and len(read_table(table)) == 1000
    assert head in table.read_text() and first in table.read_text()

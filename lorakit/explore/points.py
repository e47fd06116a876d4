"""What a results chart draws: a line for each setting of a results table, with its words."""

import numpy as np
import pandas as pd

from lorakit.figures.style import CIPHER_SHOWN, NAMES, RANK_SHOWN, TARGETS_SHOWN
from lorakit.figures.tables import MEASURED, cell, epsilon_name, in_order, summarise

_NEEDED = ("dataset", "cipher", "method", "targets", "rank", "epsilon", "seed", "accuracy")
_NEEDED += ("trainable", "total", "backbone")
_RECIPE = {"train": "{:,.0f} images", "epochs": "{:.0f} epochs", "batch_size": "batch {:.0f}"}
_RECIPE |= {"optimizer": "{}", "schedule": "{}", "backbone": "{}"}
NO_RANK = -1  # where a method without LoRA stands on the axis of ranks, below log2(1)


def points(rows: pd.DataFrame, own: pd.DataFrame | None = None) -> pd.DataFrame:
    """A line for each setting, in ``own`` too: mean, interval, words, a place on every axis.

    Means are over seeds alone: rows that differ in anything else stay apart.
    """
    missing = [name for name in _NEEDED if name not in rows]
    if missing or not len(rows):
        raise ValueError(f"rows: a results table has rows, and columns {missing}")
    every = rows.assign(yours=False)
    if own is not None and len(own):
        every = pd.concat([every, own.assign(yours=True)], ignore_index=True)
    every["rank"] = every["rank"].astype(float)
    settings = [name for name in every if name not in (*MEASURED, "seed")]
    table = summarise(every, settings)
    lines, spread = table.to_dict("records"), table["interval"].fillna(0)
    kept = ["method", "rank", "yours", "mean", "seeds", "trainable", "share"]
    found = table[kept].assign(
        **where(table),
        low=(table["mean"] - spread).clip(lower=0),
        high=(table["mean"] + spread).clip(upper=1),  # Student's t does not know 100 %
        accuracy=[f"{cell(m, i)} %" for m, i in zip(table["mean"], table["interval"])],
        name=[name_of(line) for line in lines],
        recipe=[recipe_of(line) for line in lines],
        hollow=table["targets"].notna() & (table["targets"] != TARGETS_SHOWN),
        at_rank=np.log2(table["rank"]).fillna(NO_RANK),
        at_trainable=np.log10(table["trainable"]),
        at_epsilon=_in_steps(table["epsilon"], table["method"]),
        at_cipher=_in_steps(table["cipher"], table["method"]),
    )
    usual = found["rank"].isna() | (found["rank"] == RANK_SHOWN) & ~found["hollow"]
    line = found["method"] + table["targets"].fillna("") + found["recipe"]
    found["dataset"] = _beside_the_committed(table, found["dataset"])
    return found.assign(usual=usual | found["yours"], line=line)


def _beside_the_committed(table: pd.DataFrame, places: pd.Series) -> pd.Series:
    """Runs of one's own stand where those are that had most nearly as many images."""
    committed, task = table[~table["yours"]], ["dataset", "backbone"]
    for own, mine in table[table["yours"]].iterrows():
        alike = committed[(committed[task] == mine[task]).all(axis=1)]
        if len(alike) and "train" in table:
            places[own] = places[(alike["train"] - mine["train"]).abs().idxmin()]
    return places


def where(rows: pd.DataFrame) -> dict[str, pd.Series]:
    """Data set, its size and backbone; cipher; privacy; in words. A picture shows one of each."""
    dataset, cipher = (
        rows[n].map(lambda name: NAMES.get(name, name).split(" (")[0])
        for n in ("dataset", "cipher")
    )
    privacy = rows["epsilon"].map(epsilon_name)
    if "train" in rows:  # more images are another task
        dataset += [f", {n:,.0f} images" if n == n else "" for n in rows["train"]]
    return {"dataset": dataset + ", " + rows["backbone"], "cipher": cipher, "privacy": privacy}


def name_of(line: dict) -> str:
    """A method, with its rank and targets if it has them."""
    lora = f", r = {line['rank']:.0f} on {line['targets']}" if line["rank"] > 0 else ""
    return line["method"] + lora


def recipe_of(line: dict) -> str:
    """How a row was trained, as far as the table says."""
    return ", ".join(f.format(line[n]) for n, f in _RECIPE.items() if pd.notna(line.get(n)))


def opening(table: pd.DataFrame) -> dict[str, str]:
    """Which data set, cipher and privacy to show first: those of one's own run, or the usual."""
    here = table[table["yours"]].tail(1)
    if here.empty:
        here = table[table["dataset"] == table["dataset"].iloc[0]]
        encrypted = here[here["cipher"] == NAMES[CIPHER_SHOWN]]
        here = (here if encrypted.empty else encrypted).sort_values("at_epsilon").tail(1)
    return {name: here[name].iloc[0] for name in ("dataset", "cipher", "privacy")}


def best_in_words(table: pd.DataFrame, shown: dict[str, str], parameters: float) -> str:
    """The best of what is shown within a budget of trainable parameters."""
    place = ", ".join(shown.values())
    here = (table[list(shown)] == pd.Series(shown)).all(axis=1) & ~table["yours"]
    here = table[here & (table["trainable"] <= parameters)]
    if here.empty:
        return place
    best = here.loc[here["mean"].idxmax()]
    limit = f"best with at most {parameters:,.0f} parameters"
    return f"{place}: {limit} is {best['name']}, {best['accuracy']}"


def newest_beside(table: pd.DataFrame) -> str:
    """One's own newest run beside the committed ones with the same settings."""
    if not table["yours"].any():
        return ""
    mine = table[table["yours"]].iloc[-1]
    same = ["dataset", "cipher", "privacy", "name"]
    twins = table[(table[same] == mine[same]).all(axis=1) & ~table["yours"]]
    beside = [f"; committed {t['accuracy']} ({t['recipe']})" for _, t in twins.iterrows()]
    return f"yours, {mine['name']}: {mine['accuracy']}{''.join(beside)}"


def _in_steps(values: pd.Series, methods: pd.Series) -> pd.Series:
    """Places 0, 1, 2 ... of values in order, each method a little to one side."""
    step, beside = (in_order(column) for column in (values, methods))
    shift = methods.map(beside.index) / max(1, len(beside) - 1)
    return values.map(step.index) + 0.5 * shift - 0.25

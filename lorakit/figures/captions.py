"""What a results table says, in words: a sentence with its numbers."""

import pandas as pd

from lorakit.figures.style import CIPHER_SHOWN, NAMES
from lorakit.figures.tables import summarise


def finding(rows: pd.DataFrame, dataset: str, cipher: str = CIPHER_SHOWN) -> str:
    """What a table says of the paper's claim on one data set, in a sentence with its numbers.

    Every pair of ``lora+patch`` and ``lora`` with the same targets and rank is compared.
    """
    rows = rows[(rows["dataset"] == dataset) & (rows["cipher"] == cipher)]
    means = summarise(rows).set_index("method")
    if missing := {"lora", "lora+patch", "full"} - set(means.index):
        raise ValueError(f"rows: no {sorted(missing)} with dataset={dataset!r}, cipher={cipher!r}")
    pairs = means.loc[["lora+patch"]].merge(
        means.loc[["lora"]], on=["targets", "rank"], suffixes=("", "_lora")
    )
    full = means.loc[["full"]].iloc[0]["mean"]
    text = f"{NAMES.get(dataset, dataset)}, {NAMES.get(cipher, cipher)}: "
    for pair in pairs.itertuples():
        text += (
            f"LoRA on {pair.targets} at rank {int(pair.rank)}: lora+patch {pair.mean:.1%} with "
            f"{pair.share:.1%} of the parameters, {100 * (pair.mean - pair.mean_lora):+.1f} points "
            f"against lora and {100 * (pair.mean - full):+.1f} against full; "
        )
    return text + f"full fine-tuning {full:.1%}."

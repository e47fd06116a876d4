"""How many known clothes open all others: ``python -m figures.studies.opened``, two minutes.

For each of ten keys and two ciphers: of some pieces of clothing, known plain and encrypted, one or
four at a time, how often is the key that ``recover_key`` gives right for 50 other pieces?
"""

from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from lorakit.data.load import load
from lorakit.encryption.attacks import recover_key
from lorakit.encryption.cipher import decrypt, encrypt, make_key
from lorakit.figures.style import CIPHER_SHOWN
from lorakit.runtime import write_atomic

TABLE = Path("figures/results/opened.csv")
CIPHERS, PIECES, KEYS = (CIPHER_SHOWN, "scramble+" + CIPHER_SHOWN), (1, 4), range(20, 30)
KNOWN, OTHERS, BLOCK = 200, 50, 8


def share_opened(cipher: str, key_seed: int, pieces: int) -> float:
    """Of attackers who know that many pieces each, how many read all others without an error."""
    images = load("fashion", train=KNOWN + OTHERS, val=1, test=1).train.images
    key = make_key(images.shape[-1], BLOCK, cipher.split("+"), seed=key_seed)
    known, others = images[:KNOWN], images[KNOWN:]
    pairs = zip(known.split(pieces), encrypt(known, key).split(pieces))
    found = [recover_key(plain, secret, BLOCK).key for plain, secret in pairs]
    hidden = encrypt(others, key)
    return np.mean([torch.equal(decrypt(hidden, guess), others) for guess in found])


if __name__ == "__main__":
    settings = [*product(CIPHERS, KEYS, PIECES)]
    rows = pd.DataFrame(settings, columns=["cipher", "key_seed", "pieces"])
    rows["opened"] = [share_opened(*setting) for setting in settings]
    write_atomic(rows.to_csv(index=False), TABLE)
    print(rows.groupby(["cipher", "pieces"])["opened"].describe().round(3).to_string())

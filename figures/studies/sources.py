"""What each synthetic source is worth for clothes: ``python -m figures.studies.sources``.

A linear probe of a network pre-trained on it, or of one that ships, is fitted on 50,000
training images of Fashion-MNIST and measured on the other 10,000. The command resumes.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd

from lorakit.data.dataset import Dataset
from lorakit.data.load import load
from lorakit.data.synthetic import SOURCES
from lorakit.experiments.pretrain_synthetic import RECIPE, RECIPES, pretrain_synthetic
from lorakit.experiments.probe import linear_probe
from lorakit.lora.vit import create_backbone
from lorakit.runtime import one_thread, versions, write_atomic

TABLE = Path("figures/results/sources.csv")
IMAGES, EPOCHS = 30_000, 4


def measure(name: str, data: Dataset, final: Dataset) -> dict[str, object]:
    """A row: ``pixels``, one of ``RECIPES``, or sources joined by +."""
    row = {"name": name, "images": None, "epochs": None, "probe_test": None}
    if name == "pixels":
        model = None
    elif name in RECIPES:
        model = create_backbone(name)
    else:
        settings = {"images": IMAGES, "recipe": RECIPE.replace(epochs=EPOCHS)}
        with TemporaryDirectory() as folder:
            path = Path(folder) / "weights.safetensors"
            pretrain_synthetic(path, sources=name.split("+"), **settings)
            model = create_backbone("vit_micro", pretrained_cfg_overlay={"file": str(path)})
        row |= {"images": IMAGES, "epochs": EPOCHS}
    row["probe"] = linear_probe(model, data.train, data.val)
    if row["images"] is None:
        row["probe_test"] = linear_probe(model, final.train, final.test)
    return row | {"versions": versions()}


def main() -> pd.DataFrame:
    """Every row that is not in the table yet."""
    data = load("fashion", train=50_000, val=10_000, test=1)
    final = load("fashion", train=60_000, val=0, test=10_000)
    rows = pd.read_csv(TABLE) if TABLE.exists() else pd.DataFrame({"name": []})
    for name in ("pixels", *RECIPES, *SOURCES, "+".join(SOURCES)):
        if name not in set(rows["name"]):
            with one_thread():
                rows = pd.concat([rows, pd.DataFrame([measure(name, data, final)])])
            write_atomic(rows.to_csv(index=False), TABLE)
    return rows


if __name__ == "__main__":
    print(main().to_string(index=False))

import json
from pathlib import Path

import torch
from safetensors.torch import load_file

from lorakit import Experiment, read_table
from lorakit.experiments.learning_rates import LEARNING_RATES
from lorakit.experiments.pretrain import RECIPE, WEIGHTS, pretrain
from lorakit.experiments.tune import TABLE, best_rates, candidates, tune
from lorakit.lora.vit import PARTS

ROOT = Path(__file__).resolve().parent.parent


def test_pretraining_writes_weights_and_log_and_starts_from_nothing(tmp_path):
    log = pretrain(
        tmp_path / "w.safetensors", images=256, recipe=RECIPE.replace(epochs=1), progress=False
    )
    weights = load_file(tmp_path / "w.safetensors")
    shipped = load_file(WEIGHTS)
    assert {n: t.shape for n, t in weights.items()} == {n: t.shape for n, t in shipped.items()}
    assert all(t.dtype == torch.float16 for t in shipped.values())
    assert log["test_accuracy"] < 0.2  # one epoch of 256 images teaches nothing
    assert json.loads((tmp_path / "w.json").read_text())["history"] == log["history"]


def test_the_log_of_the_shipped_weights_meets_the_promise():
    with open(WEIGHTS.replace(".safetensors", ".json")) as file:
        log = json.load(file)
    assert log["command"] == "python -m lorakit.experiments.pretrain"
    assert log["test_accuracy"] >= 0.96 and len(log["history"]) == log["epochs"]


def test_tuning_picks_the_best_on_validation_only(tmp_path):
    experiments = candidates(train=64, val=16, epochs=1)
    assert {e.eval_split for e in experiments} == {"val"} and {e.test for e in experiments} == {1}
    assert {e.method for e in experiments} == set(LEARNING_RATES) - {"patch"}
    probes = [e for e in experiments if e.method == "probe"]
    best = tune(probes, tmp_path / "tuning.csv")
    rows = read_table(tmp_path / "tuning.csv")
    assert best["lr_head"].tolist() == [rows.loc[rows["accuracy"].idxmax(), "lr_head"]]


def test_the_learning_rates_in_use_are_the_tuned_ones():
    best = best_rates(read_table(ROOT / TABLE))
    assert set(best["method"]) == set(LEARNING_RATES) - {"patch"}  # searched for on fashion only
    assert len(best[best["private"]]) == 4
    for row in best.to_dict("records"):
        lora = {"targets": row["targets"], "rank": int(row["rank"])} if row["rank"] > 0 else {}
        privacy = {"epsilon": 2.0} if row["private"] else {}
        letters = {"dataset": "street", "backbone": "vit_micro.letters", "method": row["method"]}
        experiment = Experiment.from_settings(**letters, **lora, **privacy)
        tuned = {part: row[f"lr_{part}"] for part in PARTS if row[f"lr_{part}"] > 0}
        assert experiment.recipe.lr == tuned

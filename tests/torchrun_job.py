"""What ``test_parallel`` runs, alone and in two processes: ``torchrun_job.py FOLDER``."""

import json
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

from lorakit import Experiment, Privacy, Recipe, apply_method, create_backbone, fit, load, sweep
from lorakit.training import distributed

SGD = Recipe(epochs=2, batch_size=10, lr=1e-2, optimizer="sgd")
RUNS = {  # the last batch of each epoch holds one image: none for the second process
    "plain": SGD.replace(physical_batch=2),
    "adamw": SGD.replace(optimizer="adamw"),
    "quiet": SGD.replace(privacy=Privacy(noise_multiplier=0.0, delta=1e-3)),
    "noisy": SGD.replace(privacy=Privacy(noise_multiplier=1.5, delta=1e-3), physical_batch=3),
    "rare": SGD.replace(privacy=Privacy(noise_multiplier=1.0, delta=1e-3), batch_size=1),
}


def train(data, recipe, stop_after=None, checkpoint=None):
    """One short training: the model and its history."""
    leads = distributed.is_main_process()
    torch.manual_seed(1 if leads else 2)  # the first process's weights count
    model = create_backbone(classes=10)
    apply_method(model, "lora+patch", private=recipe.privacy is not None)
    callback = stop_after and (lambda step: leads and step.step == stop_after)
    options = {"device": "cpu", "seed": 5, "progress": False, "checkpoint": checkpoint}
    return model, fit(model, data, recipe, callback=callback, **options)


def main(folder: Path) -> None:
    distributed.init()
    torch.set_num_threads(1)
    data = load("digits", train=21, val=1, test=1).train
    mine = folder / f"of{distributed.world_size()}"
    if distributed.is_main_process():
        mine.mkdir(parents=True)
    distributed.barrier()
    rank = 0 if distributed.is_main_process() else 1
    for name, recipe in RUNS.items():
        model, history = train(data, recipe)
        save_file(model.state_dict(), mine / f"{name}{rank}.safetensors")
        (mine / f"{name}{rank}.json").write_text(json.dumps(history))
    state = mine / "state"
    train(data, RUNS["noisy"], stop_after=4, checkpoint=state)
    model, history = train(data, RUNS["noisy"], checkpoint=state)
    save_file(model.state_dict(), mine / f"resumed{rank}.safetensors")
    (mine / f"resumed{rank}.json").write_text(json.dumps(history))
    tiny = {"train": 32, "val": 8, "test": 32, "recipe": Recipe(epochs=1, batch_size=16)}
    grid = [Experiment("digits", method=method, **tiny) for method in ("probe", "lora")]
    rows = sweep(grid, mine / "rows.csv", checkpoints=mine / "states", progress=False)
    assert len(rows) == 2 and not list((mine / "states").glob("*"))


if __name__ == "__main__":
    main(Path(sys.argv[1]))

"""Pre-train ``vit_micro`` on ``letters``: ``python -m lorakit.pretrain``.

Public pre-training, private fine-tuning: the letters are public, the digits are not among them.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch

from lorakit import data
from lorakit.micro import WEIGHTS
from lorakit.runtime import device_name, peak_memory_mb, pick_device, seed_everything, versions
from lorakit.train import evaluate, fit
from lorakit.vit import create_backbone


def pretrain(
    out: str | Path = WEIGHTS, *, images: int = 150_000, epochs: int = 8, seed: int = 0
) -> dict:
    """Train from random weights and write safetensors in half precision, with a JSON log beside.

    Args:
        out: the file to write; the log has the same name and ends in ``.json``.
        images: number of letters to draw.
        epochs: passes over them.
        seed: of the drawing, the random start and the order.

    Returns:
        The log: settings, accuracy on 5,000 held-out letters, the history, versions, seconds.
    """
    from safetensors.torch import save_file

    seed_everything(seed)
    letters = data.load("letters", train=images, seed=seed)
    model = create_backbone("vit_micro", len(letters.classes), pretrained=False)
    settings = {"epochs": epochs, "batch_size": 128, "lr": 1.5e-3, "weight_decay": 0.05,
                "warmup": 0.2, "seed": seed}  # fmt: skip

    out = Path(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    history = fit(model, letters.train, val=letters.val, **settings)
    half = {name: tensor.half().contiguous().cpu() for name, tensor in model.state_dict().items()}
    model.load_state_dict(half)  # measure what ships
    measured = evaluate(model, letters.test)
    save_file(half, out)
    device = pick_device()
    log = {"command": "python -m lorakit.pretrain", "images": images, **settings,
           "test_accuracy": measured["accuracy"], "test_loss": measured["loss"],
           "seconds": sum(row["seconds"] for row in history), "device": device_name(device),
           "peak_memory_mb": peak_memory_mb(device), "versions": versions(),
           "history": history}  # fmt: skip
    out.with_suffix(".json").write_text(json.dumps(log, indent=1) + "\n")
    return log


if __name__ == "__main__":
    torch.set_num_threads(2)
    log = pretrain()
    print(f"accuracy on held-out letters: {log['test_accuracy']:.1%}, written to {WEIGHTS}")

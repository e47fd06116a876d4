"""Do channels-last, torch.compile and bfloat16 help? ``python tests/benchmarks/speed.py``.

A step of lora+patch, plain and private, as it is and with each change (bfloat16 on CUDA only, since
many CPUs merely imitate it). They take turns, and the median of each is divided by that of the step
as it is. Written to figures/results/speed.csv. On the command line: other backbones of ``SIZES``.
"""

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import torch
from torch import nn
from tqdm import tqdm

from lorakit import Privacy, apply_method, create_backbone
from lorakit.runtime import device_name, pick_device, versions, write_atomic
from lorakit.training.criterion import Criterion
from lorakit.training.private_step import PrivateStep
from lorakit.training.recipe import Recipe
from lorakit.training.step import PlainStep

TABLE = Path(__file__).resolve().parents[2] / "figures" / "results" / "speed.csv"
SIZES = {"vit_micro": (32, 64), "vit_tiny_patch16_224": (224, 8)}  # pixels, images a step
CHANGES = ("as it is", "channels-last", "compile", "bfloat16")
ROUNDS = 7


def make_step(
    backbone: str, private: bool, change: str, device: torch.device
) -> Callable[[], object]:
    """One training step, ready to be timed."""
    size, batch = SIZES[backbone]
    torch.manual_seed(0)
    model = create_backbone(backbone, 10, pretrained=backbone == "vit_micro").to(device).train()
    apply_method(model, "lora+patch", rank=4, private=private)
    images = torch.randn(batch, 3, size, size, device=device)
    labels = torch.randint(10, (batch,), device=device)
    if change == "channels-last":
        model = model.to(memory_format=torch.channels_last)
        images = images.to(memory_format=torch.channels_last)
    trainable = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trainable, lr=1e-5, fused=device.type == "cuda")
    forward: nn.Module = torch.compile(model) if change == "compile" else model
    criterion = Criterion(lambda x: x, "bf16" if change == "bfloat16" else "float32")
    privacy = Privacy(noise_multiplier=1.0) if private else None
    recipe = Recipe(batch_size=batch, physical_batch=batch, privacy=privacy)
    kind = PrivateStep if private else PlainStep
    loss_of = lambda _, *chunk: criterion(forward, *chunk)  # noqa: E731
    step = kind(model, optimizer, recipe, 1000, loss_of)
    return lambda: step.step((images, labels))


def measure(backbone: str, private: bool, device: torch.device) -> list[dict]:
    """Median seconds of a step with each change; NaN where it does not run."""
    steps, seconds, failed = {}, {change: [] for change in CHANGES}, {}
    changes = [c for c in CHANGES if c != "bfloat16" or device.type == "cuda"]
    for change in changes:
        try:
            steps[change] = make_step(backbone, private, change, device)
            steps[change]()  # compiles
        except Exception as error:
            steps.pop(change, None)
            failed[change] = f"{type(error).__name__}: {str(error).strip().splitlines()[0][:80]}"
    for _ in range(ROUNDS):
        for change, step in steps.items():
            start = time.perf_counter()
            step()
            if device.type == "cuda":
                torch.cuda.synchronize()
            seconds[change].append(time.perf_counter() - start)
    medians = {c: statistics.median(s) if s else float("nan") for c, s in seconds.items()}
    return [
        {
            "backbone": backbone, "batch": SIZES[backbone][1], "private": private,
            "change": change, "seconds": round(medians[change], 4),
            "ratio": round(medians[change] / medians["as it is"], 2),
            "error": failed.get(change, ""),
        }
        for change in changes
    ]  # fmt: skip


def main() -> None:
    device, rows = pick_device(), []
    chosen = [name for name in SIZES if name in sys.argv[1:]] or ["vit_micro"]
    for backbone in tqdm(chosen):
        for private in (False, True):
            rows += measure(backbone, private, device)
    where = {"device": device_name(device), "versions": versions()}
    table = pd.DataFrame(rows).assign(rounds=ROUNDS, **where)
    write_atomic(table.to_csv(index=False), TABLE)
    print(table.drop(columns=list(where)).to_string(index=False))


if __name__ == "__main__":
    main()

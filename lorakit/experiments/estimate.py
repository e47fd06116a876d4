"""What an experiment will take, measured on a few steps before it starts."""

import shutil
import statistics
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from time import perf_counter

import pandas as pd
import psutil
import torch

from lorakit.data.dataset import Split
from lorakit.experiments.experiment import Experiment
from lorakit.experiments.run import build, image_size_of
from lorakit.lora.vit import count_parameters
from lorakit.privacy.accountant import Privacy
from lorakit.runtime import one_thread, peak_memory_mb, pick_device, reset_peak_memory
from lorakit.training.fit import fit

_FLOAT = 4  # bytes
_PROCESS = 1.0e9  # bytes of Python and PyTorch themselves
_STEPS = 4  # the first is not counted


def refuse_what_cannot_fit(
    experiment: Experiment, classes: int, device: torch.device, folder: str | Path
) -> None:
    """MemoryError, before anything is made, if it cannot fit into the device's memory or on disk.

    That is weights, gradients and optimiser; on the disk of ``folder``, their checkpoint.
    """
    e = experiment
    with torch.device("meta"):
        counts = count_parameters(build(e.replace(pretrained=False), classes))
    total, trainable = counts["total"], counts["trainable"]
    needed = _FLOAT * (total + 3 * trainable)  # gradients and Adam's two moments
    if device.type == "cuda":
        free = torch.cuda.mem_get_info(device)[0]
    else:
        needed, free = needed + _PROCESS, psutil.virtual_memory().available
    on_disk = _FLOAT * (total + 2 * trainable)
    where = next(path for path in (Path(folder), *Path(folder).parents) if path.exists())
    for amount, there, place in (
        (needed, free, f"the memory of {device}"),
        (on_disk, shutil.disk_usage(where).free, f"the disk of {where}"),
    ):
        if amount > there:
            raise MemoryError(
                f"method={e.method!r} on backbone={e.backbone!r} needs at least {amount / 1e9:.1f} "
                f"GB, {place} has {there / 1e9:.1f} GB free: choose lora or lora+patch, a smaller "
                "backbone such as 'vit_small_patch16_224', or another machine"
            )


def estimate(
    experiments: Iterable[Experiment],
    classes: int,
    *,
    device: str | torch.device | None = None,
    folder: str | Path = ".",
) -> pd.DataFrame:
    """Time and memory of experiments, from a few steps on random images and weights.

    Experiments that differ only in data, cipher or seed cost the same, and are measured once. A
    MemoryError says what does not fit; ``folder`` is for checkpoints.

    Returns:
        A line for each kind: images_per_second of training, memory_gb (the peak of one process),
        batch (the one measured), hours (of all its runs, on as many processes as ``torchrun``
        started).
    """
    device, kinds = pick_device(device), {}
    for e in experiments:
        layers = e.backbone, e.method, e.targets, e.rank, e.freeze_a
        r = e.recipe
        step = e.private, r.batch_size, r.views, r.precision
        kinds.setdefault((*layers, *step), []).append(e)
    lines = []
    for alike in kinds.values():
        e = alike[0]
        refuse_what_cannot_fit(e, classes, device, folder)
        planned = e.recipe.batch_size
        batch = planned if device.type == "cuda" else min(8, planned)
        seconds, memory = _time_a_step(e, classes, batch, device)
        speed = batch / seconds  # of all processes, which share the batch
        # a forward pass alone takes about a third of a step
        images = sum(e.recipe.epochs * e.train + e.test / 3 for e in alike)
        line = {"method": e.method, "rank": e.rank, "private": e.private, "runs": len(alike)}
        line |= {"images_per_second": round(speed, 2), "memory_gb": round(memory, 1)}
        lines.append(line | {"batch": batch, "hours": round(images / speed / 3600, 4)})
    return pd.DataFrame(lines).astype({"rank": "Int64"})


def _time_a_step(
    e: Experiment, classes: int, batch: int, device: torch.device
) -> tuple[float, float]:
    """Seconds of a step, the median; and peak memory in GB. On one thread, as ``sweep`` runs."""
    model, size = build(e.replace(pretrained=False), classes), image_size_of(e.backbone)
    images = torch.randint(256, (_STEPS * batch, 3, size, size), dtype=torch.uint8)
    split = Split(images, torch.arange(len(images)) % classes)
    privacy = Privacy(noise_multiplier=1.0) if e.private else None
    recipe = e.recipe.replace(epochs=1, batch_size=batch, privacy=privacy)
    moments: list[float] = []
    options = {"seed": 0, "device": device, "progress": False}
    reset_peak_memory(device)
    with one_thread():
        fit(model, split, recipe, callback=lambda _: moments.append(perf_counter()), **options)
    seconds = statistics.median(b - a for a, b in pairwise(moments))
    return seconds, peak_memory_mb(device) * 2**20 / 1e9

"""The state of a training run as one file: safetensors with a JSON header, no pickle."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from lorakit.files import write_atomic
from lorakit.private import PrivateSteps
from lorakit.steps import PlainSteps


def save_checkpoint(
    path: str | Path,
    model: nn.Module,
    optimizer: Optimizer,
    scheduler: LRScheduler,
    steps: PlainSteps | PrivateSteps,
    settings: dict,
    history: list[dict[str, float]],
) -> None:
    """Write weights, optimiser, schedule, privacy spent, random state and history, atomically.

    The file of a private run is as secret as its data: it knows the noise to come.
    """
    from safetensors.torch import save

    tensors = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    state = optimizer.state_dict()
    for index, values in state["state"].items():
        tensors |= {f"optimizer.{index}.{name}": value for name, value in values.items()}
    tensors["random"] = torch.get_rng_state()
    if torch.cuda.is_available():
        tensors["random_cuda"] = torch.cuda.get_rng_state()
    header = {
        "settings": settings,
        "history": history,
        "groups": state["param_groups"],
        "scheduler": scheduler.state_dict(),
        "spent": steps.state(),
    }
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    write_atomic(save(tensors, {"lorakit": json.dumps(header)}), path)


def load_checkpoint(
    path: str | Path,
    model: nn.Module,
    optimizer: Optimizer,
    scheduler: LRScheduler,
    steps: PlainSteps | PrivateSteps,
    settings: dict,
) -> list[dict[str, float]]:
    """Put a saved state back into its objects and return the history so far.

    Raises:
        ValueError: not a checkpoint, or one made with other settings or for another model. Nothing
            is changed then.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            header = json.loads((file.metadata() or {})["lorakit"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        made_with, groups, spent = header["settings"], header["groups"], header["spent"]
        schedule, history, random = header["scheduler"], header["history"], tensors["random"]
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"checkpoint={str(path)!r}: not a lorakit checkpoint ({error})") from error
    if made_with != settings:
        differing = sorted(k for k in settings if settings[k] != made_with.get(k))
        raise ValueError(
            f"checkpoint={str(path)!r}: made with other {', '.join(differing)}; "
            "use those again, or another file"
        )
    weights = {n.removeprefix("model."): t for n, t in tensors.items() if n.startswith("model.")}
    shapes = {name: tensor.shape for name, tensor in model.state_dict().items()}
    if {name: tensor.shape for name, tensor in weights.items()} != shapes:
        raise ValueError(f"checkpoint={str(path)!r}: made for another model")
    states: dict[int, dict[str, torch.Tensor]] = {}
    for name, tensor in tensors.items():
        if name.startswith("optimizer."):
            _, index, key = name.split(".")
            states.setdefault(int(index), {})[key] = tensor
    steps.load_state(spent)
    optimizer.load_state_dict({"state": states, "param_groups": groups})
    model.load_state_dict(weights)
    scheduler.load_state_dict(schedule)
    torch.set_rng_state(random)
    if "random_cuda" in tensors and torch.cuda.is_available():
        torch.cuda.set_rng_state(tensors["random_cuda"])
    return history

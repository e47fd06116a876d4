"""The state of a training run as one file: safetensors with a JSON header, no pickle."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from lorakit.lora.tensors import read_tensors
from lorakit.runtime import write_atomic
from lorakit.training.private_step import PrivateSteps
from lorakit.training.step import PlainSteps


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

    Only its owner can read the file: that of a private run knows the noise to come.
    """
    from safetensors.torch import save

    tensors = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    state = optimizer.state_dict()
    for index, values in state["state"].items():
        tensors |= {f"optimizer.{index}.{name}": value for name, value in values.items()}
    tensors["random"] = torch.get_rng_state()
    device = next(model.parameters()).device
    if device.type == "cuda":
        tensors["random_cuda"] = torch.cuda.get_rng_state(device)
    header = {
        "settings": settings,
        "history": history,
        "groups": state["param_groups"],
        "scheduler": scheduler.state_dict(),
        "spent": steps.state(),
    }
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    write_atomic(save(tensors, {"lorakit": json.dumps(header)}), path, secret=True)


def load_checkpoint(
    path: str | Path,
    model: nn.Module,
    optimizer: Optimizer,
    scheduler: LRScheduler,
    steps: PlainSteps | PrivateSteps,
    settings: dict,
    steps_per_epoch: int,
) -> list[dict[str, float]]:
    """Put a saved state back into its objects and return the history so far.

    Raises:
        ValueError: not a checkpoint, or one made with other settings or for another model. Nothing
            is changed then.
    """
    try:
        tensors, metadata = read_tensors(path, finite=False)
        header = json.loads(metadata["lorakit"])
        made_with, groups, spent = header["settings"], header["groups"], header["spent"]
        schedule, history, random = header["scheduler"], header["history"], tensors["random"]
        weights, states = _part(tensors, "model."), _states(tensors)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"checkpoint={str(path)!r}: not a lorakit checkpoint ({error})") from error
    if made_with != settings:
        differing = sorted(k for k in settings if settings[k] != made_with.get(k))
        raise ValueError(
            f"checkpoint={str(path)!r}: made with other {', '.join(differing)}; "
            "use those again, or another file"
        )
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    places = [group["params"] for group in optimizer.state_dict()["param_groups"]]
    if (
        _shapes(weights) != _shapes(model.state_dict())
        or [group.get("params") for group in groups] != places
        or not set(states) <= set(range(len(parameters)))
        or any(
            value.shape not in ((), parameters[index].shape)
            for index, state in states.items()
            for value in state.values()
        )
        or set(schedule) != set(scheduler.state_dict())
        or random.shape != torch.get_rng_state().shape
    ):
        raise ValueError(f"checkpoint={str(path)!r}: made for another model")
    try:
        steps.load_state(spent, taken=len(history) * steps_per_epoch)
    except ValueError as error:
        raise ValueError(f"checkpoint={str(path)!r}: {error}") from error
    optimizer.load_state_dict({"state": states, "param_groups": groups})
    model.load_state_dict(weights)
    scheduler.load_state_dict(schedule)
    torch.set_rng_state(random)
    device = next(model.parameters()).device
    if "random_cuda" in tensors and device.type == "cuda":
        torch.cuda.set_rng_state(tensors["random_cuda"], device)
    return history


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}


def _states(tensors: dict[str, Tensor]) -> dict[int, dict[str, Tensor]]:
    """The optimiser's tensors, by index of the parameter and name."""
    states: dict[int, dict[str, Tensor]] = {}
    for name, tensor in _part(tensors, "optimizer.").items():
        index, key = name.split(".")
        states.setdefault(int(index), {})[key] = tensor
    return states


def _shapes(tensors: dict[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}

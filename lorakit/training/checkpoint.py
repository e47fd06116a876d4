"""The state of a training run as one file: ``torch.save`` behind a digest.

It is read with ``weights_only=True``, which runs no code, and only after the digest was found
right. Only its owner can read the file: that of a private run knows the noise to come.
"""

import hashlib
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from pickle import UnpicklingError

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from lorakit.runtime import write_atomic
from lorakit.training import distributed
from lorakit.training.optimizer import Average
from lorakit.training.private_step import PrivateStep
from lorakit.training.step import PlainStep

_MAGIC = b"lorakit checkpoint 3 "
_PARTS = ("model", "optimizer", "scheduler", "average")


@dataclass
class Checkpoint:
    """What a run needs to go on after a stop, and the settings it was made with."""

    path: Path | None
    model: nn.Module
    optimizer: Optimizer
    scheduler: LRScheduler
    average: Average
    stepper: PlainStep | PrivateStep
    settings: dict

    def save(self, history: list[dict[str, float]]) -> None:
        """Write weights, optimiser, schedule, average, privacy spent, random state and history."""
        if self.path is not None and distributed.is_main_process():
            buffer = BytesIO()
            torch.save(self._state(history), buffer)
            content = buffer.getvalue()
            write_atomic(_head(content) + b"\n" + content, self.path, secret=True)
        distributed.barrier()

    def load(self, steps_per_epoch: int) -> list[dict[str, float]]:
        """Put a saved state back, and return the history so far; an empty one if there is no file.

        A ValueError, if it is damaged or does not fit to settings and model, changes nothing.
        """
        if self.path is None or not self.path.exists():
            return []
        saved = self._read()
        if wrong := [k for k, v in self.settings.items() if v != saved["settings"].get(k)]:
            other = ", ".join(sorted(wrong))
            raise _refused(self.path, f"made with other {other}; use those again, or another file")
        if not self._fits(saved):
            raise _refused(self.path, "made for another model")
        history = saved["history"]
        told, taken = len(history) * steps_per_epoch, _steps_taken(saved)
        if told != taken:
            steps = f"its history tells of {told} steps, its optimiser took {taken}"
            raise _refused(self.path, steps)
        device = next(self.model.parameters()).device
        cuda = saved["random_cuda"] if device.type == "cuda" else None
        try:
            torch.Generator().set_state(saved["random"])  # one that is there to try it on
            if cuda is not None:
                torch.Generator(device).set_state(cuda)
            self.stepper.load_state_dict(saved["spent"], taken)
        except (ValueError, RuntimeError, TypeError) as error:
            raise _refused(self.path, str(error)) from None
        for name in _PARTS:
            getattr(self, name).load_state_dict(saved[name])
        torch.set_rng_state(saved["random"])
        if cuda is not None:
            torch.cuda.set_rng_state(cuda, device)
        return history

    def _state(self, history: list[dict[str, float]]) -> dict:
        device = next(self.model.parameters()).device
        return {
            "settings": self.settings,
            "history": history,
            **{name: getattr(self, name).state_dict() for name in _PARTS},
            "spent": self.stepper.state_dict(),
            "random": torch.get_rng_state(),
            "random_cuda": torch.cuda.get_rng_state(device) if device.type == "cuda" else None,
        }

    def _read(self) -> dict:
        saved = read_checkpoint(self.path)
        now = {**self._state([]), "random_cuda": saved.get("random_cuda")}
        if {n: type(v) for n, v in saved.items()} != {n: type(v) for n, v in now.items()}:
            raise _refused(self.path, "not a lorakit checkpoint")
        return saved

    def _fits(self, saved: dict) -> bool:
        """Whether every tensor has the shape of the one it will replace."""
        now, moments = self._state([]), saved["optimizer"]["state"]
        parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        return (
            _form(saved) == _form(now)
            and set(moments) <= set(range(len(parameters)))
            and all(
                value.shape in ((), parameters[index].shape)
                for index, values in moments.items()
                for value in values.values()
            )
        )


def read_checkpoint(path: str | Path) -> dict:
    """What a checkpoint's file holds; ValueError if it is none, or damaged."""
    head, _, content = Path(path).read_bytes().partition(b"\n")
    if head != _head(content):
        raise _refused(path, "not a lorakit checkpoint, or damaged")
    try:
        return torch.load(BytesIO(content), map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, UnpicklingError) as error:
        raise _refused(path, f"not a lorakit checkpoint ({error})") from None


def _refused(path: str | Path, reason: str) -> ValueError:
    return ValueError(f"checkpoint={str(path)!r}: {reason}")


def _head(content: bytes) -> bytes:
    return _MAGIC + hashlib.sha256(content).hexdigest().encode()


def _steps_taken(saved: dict) -> int:
    """As the schedule counted them, and the optimiser, if it counts."""
    moments = saved["optimizer"]["state"].values()
    return max([saved["scheduler"]["last_epoch"], *(int(m.get("step", 0)) for m in moments)])


def _form(state: dict) -> list:
    """Names and shapes of what is replaced, and which parameters are in which optimiser's group."""
    values = state["average"].get("values", {})
    tensors = [*state["model"].items(), *values.items(), ("random", state["random"])]
    shapes = [(name, tensor.shape) for name, tensor in tensors]
    groups = [group["params"] for group in state["optimizer"]["param_groups"]]
    return [shapes, groups, set(state["scheduler"]), set(state["average"])]

"""What a private step refuses: a model or an optimiser with which it would break its promise."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torch.nn.modules.batchnorm import _NormBase

from lorakit.lora.position import RAW
from lorakit.privacy.accountant import PrivacyError


def check_layers(model: nn.Module) -> None:
    """Opacus' rules for what trains; for normalisation also where it is frozen or a subclass."""
    from opacus.validators import ModuleValidator

    rules = ModuleValidator.VALIDATORS
    for name, module in model.named_modules():
        kind = next((kind for kind in type(module).__mro__ if kind in rules), None)
        trains = any(p.requires_grad for p in module.parameters())
        if kind and (trains or isinstance(module, _NormBase)) and (errors := rules[kind](module)):
            raise PrivacyError(f"layer {name!r}: {errors[0]}")


def matched_parameters(
    model: nn.Module, optimizer: torch.optim.Optimizer
) -> dict[str, nn.Parameter]:
    """The trainable parameters by name, once they are known to be the optimiser's."""
    trainable = _trainable(model)
    held = {id(p) for group in optimizer.param_groups for p in group["params"]}
    if missing := {n: p for n, p in trainable.items() if id(p) not in held}:
        raise PrivacyError(
            f"the optimiser does not hold {listed(missing)}: they would get noise and never move; "
            "make it after LoRA was added and the model moved"
        )
    if not trainable or held - {id(p) for p in trainable.values()}:
        raise PrivacyError(
            "the optimiser holds parameters that are frozen or not in the model: it was made for "
            "another model or before the method was chosen"
        )
    if raw := {n: p for n, p in trainable.items() if n in RAW}:
        raise PrivacyError(
            f"{listed(raw)} sit in no layer, so Opacus has no fast gradient for them; train "
            "a PositionUpdate instead: apply_method(model, method, private=True)"
        )
    return trainable


def check_unchanged(
    model: nn.Module, parameters: dict[str, nn.Parameter], device: torch.device
) -> None:
    """The model is as it was wrapped: its mode, what trains in it, its device."""
    if not model.training:
        raise PrivacyError(
            "the model is in evaluation mode, where Opacus records no gradients of examples; "
            "call model.train() first"
        )
    now = _trainable(model)
    if {n: id(p) for n, p in now.items()} != {n: id(p) for n, p in parameters.items()}:
        raise PrivacyError(
            "the model's trainable parameters are not those it was wrapped with; choose them "
            "(LoRA, method) before training"
        )
    if moved := {n: p for n, p in now.items() if p.device != device}:
        raise PrivacyError(
            f"the model was moved from {device} after it was wrapped: {listed(moved)}; "
            "move it first"
        )


@contextmanager
def one_pass(model: nn.Module) -> Iterator[None]:
    """Inside, the model may run once: Opacus adds the gradients of several runs row by row.

    If the rows are not the same examples in the same order, one example has a part in several rows,
    and each of them is clipped to C for itself.
    """
    runs = []
    counting = model.register_forward_pre_hook(lambda *_: runs.append(1))
    try:
        yield
    finally:
        counting.remove()
    if len(runs) > 1:
        raise PrivacyError(
            f"the loss ran the model {len(runs)} times for one batch: an example would move the "
            "sum by more than C; put what belongs to an example through the model together, as "
            "Recipe(views=...) does"
        )


def _trainable(model: nn.Module) -> dict[str, nn.Parameter]:
    return {n: p for n, p in model.named_parameters() if p.requires_grad}


def listed(parameters: dict[str, nn.Parameter]) -> str:
    """The first names, and how many more there are."""
    names = list(parameters)
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")

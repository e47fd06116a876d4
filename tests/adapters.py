"""What tests of adapters share: a model that has moved, and one that must not."""

import pytest
import torch

from lorakit.lora.lora import lora_layers


def shaken(model):
    """The model after a random step of everything that trains."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter += 0.05 * torch.randn_like(parameter)
    return model.eval()


def refused_untouched(model, act, match):
    """Acting on the model raises a ValueError and leaves every parameter as it was."""
    before = {n: p.clone() for n, p in model.named_parameters()}
    with pytest.raises(ValueError, match=match):
        act(model)
    after = dict(model.named_parameters())
    assert before.keys() == after.keys() and not next(lora_layers(model), None)
    assert all(torch.equal(before[n], p) for n, p in after.items())

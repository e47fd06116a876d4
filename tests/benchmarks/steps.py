"""Optimiser steps to be measured: all made alike, each a function of the precision."""

import copy
from collections.abc import Callable
from functools import lru_cache

import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from lorakit.data.dataset import normalise
from lorakit.lora.vit import apply_method, create_backbone
from lorakit.privacy.accountant import Privacy
from lorakit.runtime import PRECISIONS, product_precision
from lorakit.training.criterion import Criterion
from lorakit.training.optimizer import make_optimizer
from lorakit.training.private_step import PrivateStep
from lorakit.training.recipe import Recipe
from lorakit.training.step import PlainStep

OTHER_MODES = ("ghost", "functorch", "ew")  # of Opacus; ours is "hooks"
MODES = ("plain", "hooks", *OTHER_MODES)
_EXAMPLES = 10**6

Take = Callable[[str], None]  # one step, in a precision


def make_step(backbone: str, method: str, mode: str, batch: int, device: torch.device) -> Take:
    """One optimiser step on random images, as a function of the precision."""
    torch.manual_seed(0)
    model = copy.deepcopy(_built(backbone, method, mode != "plain")).to(device).train()
    size = model.patch_embed.img_size[0]
    images = torch.randint(256, (batch, 3, size, size), dtype=torch.uint8, device=device)
    labels = torch.randint(10, (batch,), device=device)
    privacy = None if mode == "plain" else Privacy(noise_multiplier=1.0)
    recipe = Recipe(batch_size=batch, physical_batch=batch, lr=1e-5, privacy=privacy)
    optimizer = make_optimizer(model, recipe)
    if mode in OTHER_MODES:
        return _opacus_step(model, optimizer, mode, images, labels)
    kind, criterion = PlainStep if mode == "plain" else PrivateStep, Criterion()
    step = kind(model, optimizer, recipe, _EXAMPLES, criterion)

    def take(precision: str) -> None:
        criterion.precision = precision
        with product_precision(precision):
            step.step((images, labels))

    return take


@lru_cache(maxsize=4)
def _built(backbone: str, method: str, private: bool) -> VisionTransformer:
    """A model on the CPU, to be copied: random weights of a large one take seconds."""
    torch.manual_seed(0)
    model = create_backbone(backbone, pretrained=False)
    return apply_method(model, method, private=private)


def _opacus_step(
    model: nn.Module, optimizer: torch.optim.Optimizer, mode: str, images: Tensor, labels: Tensor
) -> Take:
    """A step as Opacus' own engine sets it up, in another gradient mode."""
    from opacus import PrivacyEngine
    from torch.utils.data import DataLoader, TensorDataset

    loader = DataLoader(TensorDataset(torch.zeros(_EXAMPLES, 1)), batch_size=len(labels))
    model, optimizer, *wrapped, _ = PrivacyEngine().make_private(
        module=model,
        optimizer=optimizer,
        criterion=nn.CrossEntropyLoss(),
        data_loader=loader,
        noise_multiplier=1.0,
        max_grad_norm=1.0,
        poisson_sampling=False,
        grad_sample_mode=mode,
    )
    criterion = wrapped[0] if wrapped else nn.CrossEntropyLoss()  # ghost has one of its own

    def take(precision: str) -> None:
        with product_precision(precision):
            x = normalise(images)
            with torch.autocast(x.device.type, torch.bfloat16, enabled=precision == "bf16"):
                logits = model(x)
            loss = criterion(logits, labels)
            loss.backward()
            loss.item()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)  # others step now, and need the memory

    return take


def work_of_a_step(backbone: str, method: str, device: torch.device) -> float:
    """Floating-point operations that a plain step makes for each image."""
    step = make_step(backbone, method, "plain", 2, device)
    # the fused kernels of attention are not all known to the counter
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        step("float32")
    return counter.get_total_flops() / 2


def matrix_product(size: int, device: torch.device) -> Take:
    """A product of two square matrices, as a function of the precision."""
    a = torch.randn(size, size, device=device)
    kinds = {name: a.bfloat16() if name == "bf16" else a for name in PRECISIONS}

    def take(precision: str) -> None:
        with product_precision(precision):
            torch.mm(kinds[precision], kinds[precision])

    return take

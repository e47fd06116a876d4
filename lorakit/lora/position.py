"""A trainable update of the position embedding as a module: e + Δe, with Δe = 0 at the start.

timm's ``pos_embed`` is a raw parameter of the whole ViT, which under Opacus would become one unit
without a fast gradient sampler. So e stays frozen.
"""

import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from lorakit.lora.lora import check_vit

RAW = ("cls_token", "pos_embed", "reg_token")  # parameters of timm's ViT that sit in no layer


class PositionUpdate(nn.Module):
    """Adds Δe to the tokens, the class token included: (N, T, dim) to (N, T, dim).

    >>> PositionUpdate(tokens=17, dim=8)(torch.zeros(2, 17, 8)).shape
    torch.Size([2, 17, 8])
    """

    def __init__(self, tokens: int, dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(tokens, dim))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.weight


def grad_sampler(
    layer: PositionUpdate, activations: list[Tensor], backprops: Tensor
) -> dict[nn.Parameter, Tensor]:
    """Per-example gradients for Opacus: that of Δe is the gradient of the tokens, (N, T, dim)."""
    return {layer.weight: backprops}


def check_position(model: VisionTransformer) -> None:
    """Raise unless it is a timm ViT with a position embedding, and with no update of it yet."""
    check_vit(model)
    if model.pos_embed is None:
        raise ValueError("model: it has no absolute position embedding to update")
    if any(isinstance(module, PositionUpdate) for module in model.modules()):
        raise ValueError("model: it has a position update already")


def add_position_update(model: VisionTransformer) -> VisionTransformer:
    """Put a ``PositionUpdate`` where timm adds the embedding; outputs do not change yet."""
    check_position(model)
    tokens = model.num_prefix_tokens + model.patch_embed.num_patches
    update = PositionUpdate(tokens, model.embed_dim).to(model.pos_embed)
    model.pos_drop = nn.Sequential(update, model.pos_drop)  # where timm has just added e
    return model

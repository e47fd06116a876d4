"""The embedding that undoes the cipher (Kiya et al. 2022, arXiv 2207.05366).

A ViT turns block x_i into a token E x_i + b + e_i, e_i the position embedding of place i. The
cipher shows D P x_{s(i)} at place i: permuted, some values negative. With E' = E P⁻¹ D and
e'_i = e_{s(i)} the tokens are the old ones in another order, which a transformer does not mind:
equal logits. It holds if mean and std are the same in all channels, or encryption comes last.
"""

import copy
import warnings

import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor

from lorakit.checks import checked
from lorakit.encryption.cipher import Key
from lorakit.lora.lora import check_vit
from lorakit.lora.position import PositionUpdate


def adapt_patch_embedding(weight: Tensor, key: Key) -> Tensor:
    """E' = E P⁻¹ D, both (dim, 3, p, p): columns move and turn negative as a block's values do."""
    p, shape = key.block_size, tuple(weight.shape)
    if shape[1:] != (3, p, p):
        raise ValueError(f"weight of shape {shape}: this key takes (dim, 3, {p}, {p})")
    columns = weight.flatten(1)[:, key.pixels.to(weight.device)]  # (dim, c p²)
    sign = 1 - 2 * key.flips.to(weight)
    return (columns * sign).view_as(weight)


@checked
@torch.no_grad()
def adapt_to_key(model: VisionTransformer, key: Key) -> VisionTransformer:
    """A copy of a ViT that reads encrypted images as the model itself reads plain ones.

    The key's blocks must be the ViT's patches, in images of its size. This needs the key: it proves
    that a solution exists, and is no way to train without one. A warning tells if the model's mean
    or std differ across channels, so that the order of cipher and normalisation matters.
    """
    check_vit(model)
    patch, image = model.patch_embed.patch_size[0], model.patch_embed.img_size[0]
    if (patch, image) != (key.block_size, key.image_size):
        raise ValueError(f"{key!r}: this model wants block_size={patch}, image_size={image}")
    config = getattr(model, "pretrained_cfg", None) or {}
    for name in ("mean", "std"):
        if len(set(config.get(name) or ())) > 1:
            warnings.warn(
                f"the model was trained on images with {name}={tuple(config[name])}, which differs "
                "across channels: encrypt after normalising, or the logits will not be the same",
                stacklevel=2,
            )
    model = copy.deepcopy(model)
    model.patch_embed.proj.weight.copy_(adapt_patch_embedding(model.patch_embed.proj.weight, key))
    added = [m.weight[None] for m in model.modules() if isinstance(m, PositionUpdate)]
    for embedding in (e for e in (model.pos_embed, *added) if e is not None):  # (1, tokens, dim)
        prefix = embedding.shape[1] - len(key.blocks)  # class token and registers stay in front
        places = torch.cat([torch.arange(prefix), prefix + key.blocks]).to(embedding.device)
        embedding.copy_(embedding[:, places])  # e'_i = e_{s(i)}
    return model

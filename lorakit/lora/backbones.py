"""``vit_micro``: a small ViT that ships with its weights, registered with timm by that name.

Pre-trained on ``letters`` by ``python -m lorakit.experiments.pretrain``; it never saw a digit.
"""

from __future__ import annotations

from importlib.resources import files

from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
from timm.models.vision_transformer import VisionTransformer

WEIGHTS = str(files("lorakit.lora") / "weights" / "vit_micro.safetensors")
# lora+patch of rank 16, trained on encrypted street digits by python -m lorakit.explore.example
EXAMPLE_ADAPTER = str(files("lorakit.lora") / "weights" / "example_adapter.safetensors")

default_cfgs = generate_default_cfgs(
    {
        "vit_micro.letters": {
            "file": WEIGHTS,
            "num_classes": 96,
            "input_size": (3, 32, 32),
            "mean": (0.5, 0.5, 0.5),
            "std": (0.5, 0.5, 0.5),
            "first_conv": "patch_embed.proj",
            "classifier": "head",
            "license": "mit",
        }
    }
)


@register_model
def vit_micro(pretrained: bool = False, **kwargs) -> VisionTransformer:
    """1.2 M parameters; images of 32 x 32 pixels, patches of 8 x 8: 16 tokens and a class token."""
    shape = {"img_size": 32, "patch_size": 8, "embed_dim": 128, "depth": 6, "num_heads": 4}
    return build_model_with_cfg(
        VisionTransformer, "vit_micro", pretrained, feature_cfg={}, **{**shape, **kwargs}
    )

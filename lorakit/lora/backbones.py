"""Small ViTs, registered with timm by these names.

``vit_micro``  1.2 M parameters;
``vit_mini``   5.4 M parameters.

Both know synthetic pictures alone, no photograph and no digit: ``python -m
lorakit.experiments.pretrain_synthetic NAME`` made them.
"""

from importlib.resources import files

from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
from timm.models.vision_transformer import VisionTransformer


def weights_of(name: str) -> str:
    """The path of a file among the weights that ship."""
    return str(files("lorakit.lora") / "weights" / f"{name}.safetensors")


# lora+patch of rank 16, trained on encrypted clothes by python -m lorakit.explore.example
EXAMPLE_ADAPTER = weights_of("example_adapter")


default_cfgs = generate_default_cfgs(
    {
        f"{name}.synthetic": {
            "file": weights_of(f"{name}_synthetic"),
            "num_classes": 128,
            "input_size": (3, 32, 32),
            "mean": (0.5, 0.5, 0.5),
            "std": (0.5, 0.5, 0.5),
            "first_conv": "patch_embed.proj",
            "classifier": "head",
            "license": "mit",
        }
        for name in ("vit_micro", "vit_mini")
    }
)


@register_model
def vit_micro(pretrained: bool = False, **kwargs) -> VisionTransformer:
    """Images of 32 x 32 pixels, patches of 8 x 8: 16 tokens and a class token of width 128."""
    return _vit("vit_micro", pretrained, {"embed_dim": 128, "depth": 6, "num_heads": 4}, kwargs)


@register_model
def vit_mini(pretrained: bool = False, **kwargs) -> VisionTransformer:
    """As ``vit_micro``, wider and deeper: ``lora+patch`` at q, v and rank 1 is 0.9 % of it."""
    return _vit("vit_mini", pretrained, {"embed_dim": 192, "depth": 12, "num_heads": 6}, kwargs)


def _vit(name: str, pretrained: bool, shape: dict, changes: dict) -> VisionTransformer:
    shape = {"img_size": 32, "patch_size": 8, **shape, **changes}
    return build_model_with_cfg(VisionTransformer, name, pretrained, feature_cfg={}, **shape)

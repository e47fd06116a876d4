"""What each synthetic source is worth for clothes: ``python -m lorakit.experiments.sources``.

A network is pre-trained on each source alone, on all of them, and on as many letters with their
names; then a linear probe on its features says what it can tell of Fashion-MNIST's training
images, 50,000 to fit it and 10,000 to measure. No test image is used.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor

from lorakit.data.dataset import Split, normalise
from lorakit.data.load import load
from lorakit.experiments.pretrain_synthetic import RECIPE, pretrain_synthetic
from lorakit.lora.vit import create_backbone
from lorakit.runtime import one_thread

TABLE = Path("figures/results/sources.csv")


def linear_probe(model: VisionTransformer, train: Split, val: Split) -> float:
    """Accuracy on ``val`` of logistic regression on the features of ``train``, standardised."""
    from sklearn.linear_model import LogisticRegression

    x, y = (features(model, split.images) for split in (train, val))
    mean, std = x.mean(0), x.std(0).clamp_min(1e-6)
    x, y = (((z - mean) / std).numpy() for z in (x, y))
    fitted = LogisticRegression(C=0.1, max_iter=300).fit(x, train.labels.numpy())
    return float(fitted.score(y, val.labels.numpy()))


@torch.no_grad()
def features(model: VisionTransformer, images: Tensor) -> Tensor:
    """What the head sees of images uint8 (N, 3, H, W): (N, width)."""
    model.eval()
    chunks = (model.forward_features(normalise(chunk)) for chunk in images.split(500))
    return torch.cat([model.forward_head(chunk, pre_logits=True) for chunk in chunks])


def worth(sources: tuple[str, ...], images: int = 30_000, epochs: int = 4) -> dict[str, object]:
    """Pre-train on some sources from the start, and probe: a row of the table."""
    data = load("fashion", train=50_000, val=10_000, test=1)
    with TemporaryDirectory() as folder, one_thread():
        path = Path(folder) / "weights.safetensors"
        recipe = RECIPE.replace(epochs=epochs)
        log = pretrain_synthetic(path, images=images, sources=sources, recipe=recipe)
        model = create_backbone("vit_micro", pretrained_cfg_overlay={"file": str(path)})
    return {"sources": "+".join(sources), "images": images, "epochs": epochs,
            "held_out": log["held_out"], "probe": linear_probe(model, data.train, data.val),
            "seconds": log["seconds"], "versions": log["versions"]}  # fmt: skip

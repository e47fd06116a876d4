"""What a frozen network knows: logistic regression on its features, a linear probe."""

import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor

from lorakit.data.dataset import Split, normalise


def linear_probe(model: VisionTransformer | None, train: Split, measured: Split) -> float:
    """Accuracy of logistic regression on features, standardised; without a model, on pixels."""
    from sklearn.linear_model import LogisticRegression

    x, y = (features(model, split.images) for split in (train, measured))
    mean, std = x.mean(0), x.std(0).clamp_min(1e-6)
    x, y = (((z - mean) / std).numpy() for z in (x, y))
    fitted = LogisticRegression(C=0.1, max_iter=300).fit(x, train.labels.numpy())
    return float(fitted.score(y, measured.labels.numpy()))


@torch.no_grad()
def features(model: VisionTransformer | None, images: Tensor) -> Tensor:
    """What the head sees of uint8 images (N, 3, H, W): (N, width); or their first channel."""
    if model is None:
        return images[:, 0].flatten(1).float()
    model.eval()
    on = next(model.parameters(), images).device
    chunks = (model.forward_features(normalise(chunk.to(on))) for chunk in images.split(500))
    return torch.cat([model.forward_head(chunk, pre_logits=True) for chunk in chunks]).cpu()

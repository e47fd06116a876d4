"""Synthetic pictures, and the pre-training on them."""

import json

import pytest
import torch
from safetensors.torch import load_file

from lorakit.data.synthetic import SOURCES, bodies, draw_pictures, fractals, textures
from lorakit.experiments.pretrain_synthetic import (
    RECIPE,
    TARGETS,
    GradientCriterion,
    draw_mix,
    oriented_gradients,
    pretrain_synthetic,
)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("source", SOURCES)
def test_pictures_differ_and_repeat_with_their_seed(source):
    images = draw_pictures(source, 60, generator())
    assert images.shape == (60, 3, 32, 32) and images.dtype == torch.uint8
    assert torch.equal(images, draw_pictures(source, 60, generator()))
    assert not torch.equal(images, draw_pictures(source, 60, generator(1)))
    assert len(images.flatten(1).unique(dim=0)) == 60
    assert draw_pictures(source, 3, generator(), size=64).shape[-1] == 64


def test_a_body_is_what_its_distance_says():
    distance = bodies(200, generator(), 33)
    inside = distance < 0
    share = inside.float().mean((1, 2))
    assert 0.05 < share.mean() < 0.6
    mirrored = (inside == inside.flip(2)).all(2).all(1)
    assert 0.5 < mirrored.float().mean() < 0.75
    # a distance changes by at most one for each step of one: 2 / 32 from pixel to pixel
    assert (distance.diff(dim=2).abs() < 2 / 32 + 1e-4).all()


def test_textures_and_fractals_stay_in_range_and_are_not_blank():
    for fields in (textures(100, generator(), 32), fractals(100, generator(), 32)):
        assert fields.min() >= 0 and fields.max() <= 1
        assert (fields.std((1, 2)) > 0.01).float().mean() > 0.9


def test_oriented_gradients_tell_an_edge_and_its_direction():
    ramp = torch.arange(32, dtype=torch.uint8).mul(8).expand(1, 3, 32, 32)
    across = oriented_gradients(ramp).view(9, 7, 7)
    down = oriented_gradients(ramp.transpose(2, 3)).view(9, 7, 7)
    middle = (slice(None), 3, 3)
    strongest = [int(f[middle][:8].argmax()) for f in (across, down)]
    assert (strongest[1] - strongest[0]) % 8 in (2, 6)  # a quarter turn of eight directions
    backwards = oriented_gradients(ramp.flip(3)).view(9, 7, 7)
    assert (int(backwards[middle][:8].argmax()) - strongest[0]) % 8 == 4
    flat = oriented_gradients(torch.full((1, 3, 32, 32), 100, dtype=torch.uint8)).view(9, 7, 7)
    assert flat[:8].abs().max() < 1e-6 and flat[8].allclose(torch.tensor((100 / 255) ** 0.5))


def test_the_targets_are_uncorrelated_and_a_blind_guess_costs_one():
    images = draw_mix(1500, SOURCES, 0).images
    targets = GradientCriterion(images).targets(images)
    assert targets.shape == (1500, TARGETS)
    correlation = targets.T.corrcoef() - torch.eye(TARGETS)
    assert correlation.abs().max() < 0.05
    assert targets.pow(2).mean().item() == pytest.approx(1, abs=0.02)


def test_a_mix_has_equal_parts_and_labels_say_which():
    mix = draw_mix(10, ("letters", "bodies", "textures"), 0)
    assert mix.labels.tolist() == [0, 0, 0, 0, 1, 1, 1, 2, 2, 2]
    with pytest.raises(ValueError, match=r"sources='photographs'.*fractals"):
        draw_mix(10, ("photographs",), 0)


def test_pretraining_learns_writes_a_log_and_goes_on_after_a_stop(tmp_path, monkeypatch):
    settings = {"images": 512, "recipe": RECIPE.replace(epochs=2), "progress": False}
    whole = pretrain_synthetic(tmp_path / "a.safetensors", **settings)
    assert 0.5 < whole["held_out"] < 1.5 and len(whole["history"]) == 2
    assert json.loads((tmp_path / "a.json").read_text())["held_out"] == whole["held_out"]
    weights = load_file(tmp_path / "a.safetensors")
    assert weights["head.weight"].shape == (TARGETS, 128)
    assert all(t.dtype == torch.float16 for t in weights.values())

    from lorakit.training.checkpoint import Checkpoint

    save = Checkpoint.save

    def save_and_stop(self, history):
        save(self, history)
        raise KeyboardInterrupt

    monkeypatch.setattr(Checkpoint, "save", save_and_stop)
    with pytest.raises(KeyboardInterrupt):
        pretrain_synthetic(tmp_path / "b.safetensors", **settings)
    monkeypatch.setattr(Checkpoint, "save", save)
    pretrain_synthetic(tmp_path / "b.safetensors", **settings)
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    assert not list(tmp_path.glob("*.checkpoint"))


def test_a_linear_probe_is_logistic_regression_on_what_the_head_sees():
    from lorakit import create_backbone, load
    from lorakit.experiments.probe import features, linear_probe

    data = load("fashion", train=1500, val=500, test=1)
    model = create_backbone("vit_micro")
    seen = features(model, data.val.images)
    assert seen.shape == (500, 128)
    torch.testing.assert_close(
        model.head(seen[:5]), model.eval()((data.val.images[:5].float() / 255 - 0.5) / 0.5)
    )
    untrained = create_backbone("vit_micro", pretrained=False)
    probes = [linear_probe(m, data.train, data.val) for m in (model, untrained, None)]
    assert probes[0] > probes[1] + 0.1 and probes[2] > 0.6

"""Private training: the gradient, the noise, the accountant, and what is refused."""

import copy
import math
from collections import Counter

import pytest
import torch
import torch.nn.functional as F
from scipy.stats import kstest
from timm.layers import BatchNormAct2d, FrozenBatchNormAct2d

from lorakit.data import Split
from lorakit.lora.lora import add_lora
from lorakit.lora.vit import METHODS, apply_method, create_backbone, part_of, parts
from lorakit.privacy.accountant import Privacy, PrivacyError, compute_epsilon
from lorakit.training.criterion import Criterion
from lorakit.training.fit import DivergenceError, evaluate, fit
from lorakit.training.private_step import PrivateStep
from lorakit.training.recipe import Recipe
from tests.checkpoints import rewrite

PRIVACY = Privacy(epsilon=4.0, delta=1e-3)
NOISY = Privacy(noise_multiplier=1.0, delta=1e-3)  # no sigma to find, which takes seconds
PLAIN = Recipe(epochs=2, batch_size=40, lr=2e-3)
QUICK = PLAIN.replace(privacy=PRIVACY)
RUN = {"progress": False, "device": "cpu", "seed": 0}


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(12, 3, 16, 16, generator=generator)
    return images, torch.randint(0, 10, (12,), generator=generator)


def prepared(make_vit, method):
    model = apply_method(make_vit(), method, rank=2, private=True).train()
    for name, parameter in model.named_parameters():  # away from B = 0, so that all have gradients
        if name.endswith(("B.weight", "pos_drop.0.weight")):
            torch.nn.init.normal_(parameter, std=0.1)
    return model


def trainable(model):
    return {name: p for name, p in model.named_parameters() if p.requires_grad}


def step_of(model, privacy, *, examples=12, criterion=None, **settings):
    """A step on pictures that are numbers already; by default ten are planned."""
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.0)
    recipe = Recipe(**{"epochs": 10, "batch_size": 12, "privacy": privacy, **settings})
    criterion = criterion or Criterion(lambda images: images)
    return PrivateStep(model, optimizer, recipe, examples, criterion)


def gradients_of(step, images, labels):
    """What the optimiser would get: mean of clipped gradients plus noise, by parameter."""
    found = {}

    def capture(*_):
        found.update({name: p.grad.clone() for name, p in step.parameters.items()})

    step.optimizer.original_optimizer.register_step_pre_hook(capture)
    step.step((images, labels))
    return found


def one_at_a_time(model, images, labels, bound):
    """The oracle: a loop over examples, each clipped over all parameters together."""
    total = {name: torch.zeros_like(p) for name, p in trainable(model).items()}
    clipped = 0
    for image, label in zip(images, labels):
        loss = F.cross_entropy(model(image[None]), label[None])
        gradients = torch.autograd.grad(loss, list(trainable(model).values()))
        norm = math.sqrt(sum(g.square().sum().item() for g in gradients))
        clipped += norm > bound
        for name, gradient in zip(total, gradients):
            total[name] += gradient * min(1.0, bound / norm)
    return total, clipped


@pytest.mark.parametrize("physical_batch", [None, 5])
@pytest.mark.parametrize("method", METHODS)
def test_the_clipped_sum_is_that_of_a_loop_over_examples(make_vit, batch, method, physical_batch):
    model = prepared(make_vit, method)
    norms = [one_at_a_time(model, i[None], y[None], 1e9)[0] for i, y in zip(*batch)]
    norms = sorted(math.sqrt(sum(g.square().sum() for g in n.values())) for n in norms)
    bound = norms[len(norms) // 2]  # so that half of the examples are clipped
    expected, clipped = one_at_a_time(model, *batch, bound)
    assert 0 < clipped < 12
    privacy = Privacy(noise_multiplier=0.0, delta=1e-3, max_grad_norm=bound)
    step = step_of(model, privacy, physical_batch=physical_batch)
    found = gradients_of(step, *batch)
    scale = max(g.abs().max() for g in expected.values())
    assert found.keys() == expected.keys()
    for name, gradient in found.items():
        assert (12 * gradient - expected[name]).abs().max() <= 1e-5 * scale, name


@pytest.mark.parametrize("physical_batch", [None, 5])
@pytest.mark.parametrize("method", ["probe", "lora+patch", "lora+patch+pos", "full"])
def test_parts_clipped_apart_are_those_of_a_loop_over_examples_and_parts(
    make_vit, batch, method, physical_batch
):
    model = prepared(make_vit, method)
    each = [one_at_a_time(model, i[None], y[None], 1e9)[0] for i, y in zip(*batch)]
    groups = {}
    for name in each[0]:
        groups.setdefault(part_of(name), []).append(name)
    norms = {
        part: [math.sqrt(sum(g[n].square().sum() for n in names)) for g in each]
        for part, names in groups.items()
    }
    limit = min(sorted(found)[6] for found in norms.values())
    expected = {
        name: sum(g[name] * min(1.0, limit / norm) for g, norm in zip(each, norms[part]))
        for part, names in groups.items()
        for name in names
    }
    bound = limit * math.sqrt(len(groups))
    privacy = Privacy(
        noise_multiplier=0.0, delta=1e-3, max_grad_norm=bound, groupwise_clipping=True
    )
    found = gradients_of(step_of(model, privacy, physical_batch=physical_batch), *batch)
    scale = max(g.abs().max() for g in expected.values())
    assert found.keys() == expected.keys()
    for name, gradient in found.items():
        assert (12 * gradient - expected[name]).abs().max() <= 1e-5 * scale, name


def test_registers_average_pooling_and_qk_norm_too(make_vit, batch):
    shape = {"reg_tokens": 2, "class_token": False, "global_pool": "avg", "qk_norm": True}
    model = prepared(lambda: make_vit(**shape), "full")
    privacy = Privacy(noise_multiplier=0.0, delta=1e-3, max_grad_norm=0.5)
    found = gradients_of(step_of(model, privacy), *batch)
    expected, _ = one_at_a_time(model, *batch, 0.5)
    for name, gradient in found.items():
        torch.testing.assert_close(12 * gradient, expected[name], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize("physical_batch", [None, 5])
def test_views_of_an_example_are_averaged_before_they_are_clipped(
    make_vit, batch, physical_batch, apart
):
    seen = []

    def record(images):
        seen.append(images)
        return images

    model = prepared(make_vit, "lora+patch+pos")
    privacy = Privacy(noise_multiplier=0.0, delta=1e-3, max_grad_norm=1.0, groupwise_clipping=apart)
    settings = {"views": 3, "physical_batch": physical_batch, "criterion": Criterion(record)}
    found = gradients_of(step_of(model, privacy, **settings), *batch)
    views = torch.cat(seen).unflatten(0, (12, 3))  # (n, K, 3, H, W)
    assert not torch.equal(views[:, 0], views[:, 1])
    total = {name: torch.zeros_like(p) for name, p in trainable(model).items()}
    groups = {name: part_of(name) if apart else "all" for name in total}
    limit, norms = len(set(groups.values())) ** -0.5, []
    for images, label in zip(views, batch[1]):
        each = [one_at_a_time(model, v[None], label[None], 1e9)[0] for v in images]
        mean = {name: sum(g[name] for g in each) / 3 for name in total}
        squares = Counter()
        for name, gradient in mean.items():
            squares[groups[name]] += gradient.square().sum().item()
        norms += map(math.sqrt, squares.values())
        for name, gradient in mean.items():
            total[name] += gradient * min(1.0, limit / math.sqrt(squares[groups[name]]))
    assert max(norms) > limit
    for name, gradient in found.items():
        torch.testing.assert_close(12 * gradient, total[name], rtol=1e-3, atol=1e-5)


def test_images_with_their_channels_last_in_memory_are_read_right(make_vit, batch):
    """Opacus' gradient of a convolution is wrong for them, and says nothing."""
    model = prepared(make_vit, "lora+patch")
    privacy = Privacy(noise_multiplier=0.0, delta=1e-3)
    images, labels = batch[0].to(memory_format=torch.channels_last), batch[1]
    found = gradients_of(step_of(model, privacy), images, labels)
    expected, _ = one_at_a_time(model, images, labels, 1.0)
    name = "patch_embed.proj.weight"
    torch.testing.assert_close(12 * found[name], expected[name], rtol=1e-3, atol=1e-5)


def test_views_and_a_moving_average_cost_no_epsilon_and_survive_a_stop(digits, tmp_path):
    def train(recipe, **options):
        torch.manual_seed(0)
        model = apply_method(create_backbone(classes=10), "probe")
        return model.head, fit(model, digits.train, recipe, **options, **RUN)

    plain = PLAIN.replace(privacy=NOISY)
    recipe = plain.replace(views=2, ema=0.9)
    whole, history = train(recipe)
    train(recipe, checkpoint=tmp_path / "a", callback=lambda s: s.step == 7)
    resumed, _ = train(recipe, checkpoint=tmp_path / "a")
    assert torch.equal(whole.weight, resumed.weight)
    assert [row["epsilon"] for row in history] == [row["epsilon"] for row in train(plain)[1]]


@pytest.mark.parametrize("empty", [False, True])
def test_noise_of_sigma_c_reaches_all_that_trains_and_nothing_else(make_vit, batch, empty):
    model = prepared(make_vit, "lora+patch+pos")
    frozen = {n: p.clone() for n, p in model.named_parameters() if not p.requires_grad}
    images, labels = (batch[0][:0], batch[1][:0]) if empty else batch
    privacy = Privacy(noise_multiplier=3.0, delta=1e-3, max_grad_norm=0.5)
    torch.manual_seed(0)
    noisy = gradients_of(step_of(model, privacy), images, labels)
    signal = {name: torch.zeros_like(p) for name, p in trainable(model).items()}
    if not empty:
        signal, _ = one_at_a_time(model, images, labels, 0.5)
    for part, parameters in parts(model).items():
        ids = {id(p) for p in parameters}
        names = [n for n, p in trainable(model).items() if id(p) in ids]
        noise = torch.cat([(12 * noisy[n] - signal[n]).flatten() for n in names]) / (3.0 * 0.5)
        assert noise.std().item() == pytest.approx(1, rel=0.15), part
        assert kstest(noise.numpy(), "norm").pvalue > 1e-3, part
    for name, parameter in model.named_parameters():
        if name in frozen:
            assert parameter.grad is None and torch.equal(parameter, frozen[name])


@pytest.mark.parametrize("method", ["lora+patch+pos", "full"])
def test_private_training_leaves_the_frozen_part_bitwise_and_counts_epsilon(digits, method):
    model = apply_method(create_backbone(classes=10), method, rank=2, private=True)
    before = {name: p.clone() for name, p in model.named_parameters()}
    history = fit(model, digits.train, QUICK, **RUN)
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter, before[name]) != parameter.requires_grad, name
    sigma = PRIVACY.sigma(40 / 200, 10)
    for epoch, row in enumerate(history, start=1):
        assert row["epsilon"] == compute_epsilon(sigma, 0.2, 5 * epoch, 1e-3)
    assert 3.9 < history[-1]["epsilon"] <= 4
    assert not any(hasattr(p, "grad_sample") and p.grad_sample is not None for p in
                   model.parameters())  # fmt: skip
    evaluate(model, digits.test, device="cpu")
    fit(model, digits.train, PLAIN, **RUN)  # the hooks are gone: it trains on without privacy


@pytest.mark.parametrize(("optimizer", "lr"), [("adamw", 5e-3), ("sgd", 0.1)])
def test_it_learns_at_a_generous_epsilon_with_adam_and_with_sgd(digits, optimizer, lr):
    model = apply_method(create_backbone(classes=10), "lora+patch", rank=2)
    generous = Privacy(noise_multiplier=0.37, delta=1e-3, accountant="rdp")
    recipe = PLAIN.replace(lr=lr, epochs=6, optimizer=optimizer, privacy=generous)
    assert 40 < fit(model, digits.train, recipe, **RUN)[-1]["epsilon"] <= 50
    assert evaluate(model, digits.test, device="cpu")["accuracy"] > 0.6


def test_sampling_is_poisson_at_the_true_rate(make_vit):
    torch.manual_seed(0)
    step = step_of(prepared(make_vit, "probe"), NOISY, examples=90, batch_size=40)
    assert step.sample_rate == 40 / 90  # not one over the number of batches
    sizes = [len(b) for _ in range(400) for b in step.sample()]
    assert len(sizes) == 3 * 400
    mean, variance = 40, 90 * (4 / 9) * (5 / 9)
    tensor = torch.tensor(sizes, dtype=torch.float)
    assert abs(tensor.mean() - mean) < 4 * math.sqrt(variance / len(sizes))
    assert tensor.var().item() == pytest.approx(variance, rel=0.2)


def test_many_empty_batches_are_survived_and_counted(digits):
    few = Split(digits.train.images[:12], digits.train.labels[:12])
    model = apply_method(create_backbone(classes=10), "lora+patch", rank=1)
    privacy = Privacy(noise_multiplier=1.0, delta=1e-2)
    losses = []
    recipe = QUICK.replace(batch_size=1, privacy=privacy)
    history = fit(model, few, recipe, callback=lambda s: losses.append(s.loss), **RUN)
    assert len(losses) == 24 and any(math.isnan(loss) for loss in losses)
    assert history[-1]["epsilon"] == compute_epsilon(1.0, 1 / 12, 24, 1e-2)


def test_stopped_and_resumed_is_the_unbroken_run_and_epsilon_goes_on(digits, tmp_path):
    def train(path, callback=None):
        torch.manual_seed(0)
        model = apply_method(create_backbone(classes=10), "lora+patch", rank=2)
        arguments = {"checkpoint": path, "callback": callback, **RUN}
        return model, fit(model, digits.train, recipe, **arguments)

    recipe = PLAIN.replace(epochs=3, privacy=NOISY)

    model, history = train(tmp_path / "a")
    _, part = train(tmp_path / "b", callback=lambda step: step.epoch == 2 and step.step == 8)
    resumed, whole = train(tmp_path / "b")
    assert len(part) == 1
    assert [row["epsilon"] for row in whole] == [row["epsilon"] for row in history]
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), resumed.parameters()))
    with pytest.raises(ValueError, match="other privacy"):
        other = recipe.replace(privacy=Privacy(noise_multiplier=0.5, delta=1e-3))
        fit(model, digits.train, other, checkpoint=tmp_path / "b", **RUN)


def test_a_stop_inside_an_epoch_says_what_is_spent(digits):
    seen = []
    model = apply_method(create_backbone(classes=10), "probe")

    def stop(step):
        seen.append(step.spent()["epsilon"])
        return step.step == 2

    assert fit(model, digits.train, QUICK, callback=stop, **RUN) == []
    assert 0 < seen[0] < seen[1] < PRIVACY.epsilon


def test_evaluation_mode_is_refused(make_vit, batch):
    step = step_of(prepared(make_vit, "probe").eval(), NOISY)
    with pytest.raises(PrivacyError, match=r"call model\.train\(\)"):
        gradients_of(step, *batch)


def test_after_an_error_inside_a_step_no_other_is_taken(make_vit, batch):
    calls = []

    class Breaks(Criterion):
        def __call__(self, model, images, labels):
            calls.append(images)
            if len(calls) == 2:
                raise KeyboardInterrupt
            return super().__call__(model, images, labels)

    criterion = Breaks(lambda images: images)
    settings = {"batch_size": 4, "physical_batch": 2, "criterion": criterion}
    step = step_of(prepared(make_vit, "probe"), NOISY, **settings)
    first = tuple(tensor[:4] for tensor in batch)
    with pytest.raises(KeyboardInterrupt):
        step.step(first)
    with pytest.raises(PrivacyError, match="half a sum"):
        step.step(first)


def spend_less(state):
    state["spent"]["taken"] -= 1


def forget_an_epoch(state):
    """What reads as a true checkpoint of the first epoch, with the weights of the second."""
    state["history"].pop()
    state["spent"]["taken"] -= 5


def forget_an_epoch_thoroughly(state):
    forget_an_epoch(state)
    state["scheduler"]["last_epoch"] -= 5


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (spend_less, r"the privacy spent is .* it should be"),
        (forget_an_epoch, "history tells of 5 steps, its optimiser took 10"),
        (forget_an_epoch_thoroughly, "history tells of 5 steps, its optimiser took 10"),
    ],
)
def test_a_checkpoint_that_lies_about_what_was_spent_is_refused(digits, tmp_path, change, words):
    path, recipe = tmp_path / "run.checkpoint", PLAIN.replace(privacy=NOISY)
    model = apply_method(create_backbone(classes=10), "probe")
    fit(model, digits.train, recipe, checkpoint=path, **RUN)
    assert path.stat().st_mode & 0o077 == 0
    random = torch.Generator().manual_seed(5).get_state()
    rewrite(path, lambda state: (state.update(random=random), change(state)))
    fresh = apply_method(create_backbone(classes=10), "probe")
    before = [p.clone() for p in fresh.parameters()]
    with pytest.raises(ValueError, match=words):
        fit(fresh, digits.train, recipe, checkpoint=path, **RUN)
    assert all(torch.equal(a, b) for a, b in zip(before, fresh.parameters()))
    assert not torch.equal(torch.get_rng_state(), random)


def test_no_step_past_the_target(make_vit, batch):
    two = {"epochs": 1, "batch_size": 6}
    step = step_of(prepared(make_vit, "probe"), Privacy(1.0, 1e-2, accountant="rdp"), **two)
    gradients_of(step, *batch)
    step.step(tuple(tensor[:0] for tensor in batch))
    before = step.model.head.weight.clone()
    with pytest.raises(PrivacyError, match=r"step 3 would spend more than epsilon=1\.0"):
        gradients_of(step, *batch)
    assert torch.equal(step.model.head.weight, before)
    assert step.spent()["epsilon"] <= 1.0


def test_parameters_missing_from_the_optimiser_are_refused(make_vit):
    model = make_vit()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    add_lora(model.requires_grad_(False), rank=2)
    with pytest.raises(PrivacyError, match=r"does not hold blocks\.0.*A\.weight.*after LoRA"):
        PrivateStep(model, optimizer, Recipe(batch_size=4, privacy=NOISY), 12)


def test_frozen_parameters_in_the_optimiser_are_refused(make_vit):
    model = apply_method(make_vit(), "probe")
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(PrivacyError, match="frozen or not in the model"):
        PrivateStep(model, optimizer, Recipe(batch_size=4, privacy=NOISY), 12)


class Mixed(torch.nn.Module):
    """A head behind a layer in which examples may meet."""

    def __init__(self, norm):
        super().__init__()
        self.norm, self.head = norm, torch.nn.Linear(3 * 16 * 16, 10)

    def forward(self, x):
        return self.head(self.norm(x).flatten(1))


BATCH_NORMS = {
    "trained": torch.nn.BatchNorm2d(3),
    "frozen": torch.nn.BatchNorm2d(3).requires_grad_(False),
    "no affine": torch.nn.BatchNorm2d(3, affine=False),
    "no statistics": torch.nn.BatchNorm2d(3, affine=False, track_running_stats=False),
    "timm's": BatchNormAct2d(3).requires_grad_(False),
    "instance, with statistics": torch.nn.InstanceNorm2d(3, track_running_stats=True),
}


@pytest.mark.parametrize("norm", BATCH_NORMS)
def test_a_layer_in_which_examples_meet_is_refused_frozen_too(norm):
    model = Mixed(copy.deepcopy(BATCH_NORMS[norm])).train()
    with pytest.raises(PrivacyError, match="layer 'norm'"):
        step_of(model, NOISY)


@pytest.mark.parametrize(
    "norm", [torch.nn.GroupNorm(3, 3), torch.nn.InstanceNorm2d(3), FrozenBatchNormAct2d(3)]
)
def test_a_layer_that_keeps_examples_apart_passes(norm, batch):
    model = Mixed(norm).train()
    privacy = Privacy(noise_multiplier=0.0, delta=1e-3)
    found = gradients_of(step_of(model, privacy), *batch)
    expected, _ = one_at_a_time(model, *batch, 1.0)
    torch.testing.assert_close(12 * found["head.weight"], expected["head.weight"])


def test_zero_gradients_are_not_silently_accounted(make_vit, batch):
    step = step_of(apply_method(make_vit(), "lora", rank=2).train(), NOISY)
    images, labels = batch
    with pytest.raises(PrivacyError, match=r"all zero in three steps.*A\.weight"):
        for _ in range(3):  # B = 0 and a learning rate of zero: A never gets a gradient
            gradients_of(step, images, labels)


def test_a_model_changed_or_moved_after_wrapping_is_refused(make_vit, batch):
    step = step_of(apply_method(make_vit(), "probe").train(), NOISY)
    step.model.head = torch.nn.Linear(32, 10)
    with pytest.raises(PrivacyError, match="not those it was wrapped with"):
        gradients_of(step, *batch)
    step = step_of(apply_method(make_vit(), "probe").train(), NOISY)
    step.model.to("meta")
    with pytest.raises(PrivacyError, match=r"moved from cpu|not those"):
        gradients_of(step, *batch)


def test_raw_parameters_are_explained_and_private_full_gets_round_them(make_vit, digits):
    model = apply_method(make_vit(), "full")
    with pytest.raises(PrivacyError, match=r"cls_token, pos_embed.*private=True"):
        step_of(model, NOISY)
    model = apply_method(make_vit(), "full", private=True)
    assert not model.cls_token.requires_grad and not model.pos_embed.requires_grad


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"privacy": Privacy(1.0, 1 / 200)}, "below 1/N.*N = 200 examples"),
        ({"privacy": PRIVACY, "batch_size": 201}, "batch_size=201.*200"),
        ({"privacy": PRIVACY, "optimizer": "lion"}, "'lion'.*'adamw'"),
        ({"physical_batch": 0}, "physical_batch=0"),
    ],
)
def test_bad_settings_are_named(digits, settings, words):
    model = apply_method(create_backbone(classes=10), "probe")
    with pytest.raises(ValueError, match=words):
        fit(model, digits.train, PLAIN.replace(**settings), **RUN)


def test_gradients_in_bfloat16_are_accepted(make_vit, batch):
    """What CUDA's autocast does, on the CPU."""
    criterion = Criterion(lambda images: images, "bf16")
    privacy = Privacy(noise_multiplier=0.0, delta=1e-3)
    step = step_of(prepared(make_vit, "lora+patch"), privacy, criterion=criterion)
    images, labels = batch
    found = gradients_of(step, images, labels)
    expected, _ = one_at_a_time(step.model, images, labels, 1.0)
    assert all(g.dtype == torch.float32 for g in found.values())
    torch.testing.assert_close(
        12 * found["head.weight"], expected["head.weight"], rtol=0.1, atol=0.02
    )


def test_an_aborted_run_leaves_nothing_on_the_model(digits):
    recipe = PLAIN.replace(epochs=1, privacy=NOISY)
    model = apply_method(create_backbone(classes=10), "lora+patch", rank=1)

    def poison(module, arguments, out):
        return out * float("nan")

    handle = model.head.register_forward_hook(poison)
    with pytest.raises(DivergenceError):
        fit(model, digits.train, recipe, **RUN)
    handle.remove()
    assert not any(
        hasattr(m, "activations") or hasattr(m, "max_batch_len") for m in model.modules()
    )
    fit(model, digits.train, recipe, **RUN)


def test_a_batch_in_chunks_gives_the_gradient_of_the_whole(digits):
    """Without privacy too: gradient accumulation."""
    weights = []
    for physical_batch in (None, 7):
        torch.manual_seed(0)
        model = apply_method(create_backbone(classes=10), "probe")
        fit(model, digits.train, PLAIN.replace(physical_batch=physical_batch), **RUN)
        weights.append(model.head.weight)
    torch.testing.assert_close(*weights, rtol=1e-4, atol=1e-6)


def test_a_model_moved_after_it_was_wrapped_is_refused(make_vit, batch):
    """Opacus 820, peft 3409. Here the step believes that it was wrapped elsewhere."""
    step = step_of(prepared(make_vit, "probe"), NOISY)
    step.device = torch.device("meta")
    with pytest.raises(PrivacyError, match="moved from meta after it was wrapped"):
        step.step(batch)
    assert step.taken == 0


def test_without_a_seed_two_private_calls_share_no_noise(digits):
    """Shared noise cancels for whoever has both models; noise of a known seed, for everybody."""

    def trained(privacy):
        torch.manual_seed(0)
        model = apply_method(create_backbone(classes=10), "probe", private=True)
        recipe = PLAIN.replace(epochs=1, privacy=privacy)
        fit(model, digits.train, recipe, progress=False, device="cpu")
        return model.head.weight.detach()

    assert torch.equal(trained(None), trained(None))
    assert (trained(NOISY) != trained(NOISY)).float().mean() > 0.99


def test_a_parameter_that_the_loss_does_not_reach_stops_the_step_before_it_counts(make_vit, batch):
    step = step_of(prepared(make_vit, "patch"), NOISY)
    step.criterion = lambda model, images, labels: model.patch_embed(images).square().mean()
    before = [p.clone() for p in step.parameters.values()]
    with pytest.raises(ValueError, match="gradient"):
        step.step(batch)
    assert step.taken == 0
    assert all(torch.equal(a, b) for a, b in zip(before, step.parameters.values()))
    with pytest.raises(PrivacyError, match="an earlier step raised an error"):
        step.step(batch)


@pytest.mark.parametrize("call", [1, 2, 3, 7])
def test_a_dry_step_that_fails_anywhere_leaves_nothing_behind(make_vit, batch, monkeypatch, call):
    """Out of memory inside Opacus, say, between the weight of a layer and its bias."""
    from opacus.grad_sample import grad_sample_module

    calls, exact = [], grad_sample_module.create_or_accumulate_grad_sample

    def fails_once(**settings):
        calls.append(settings)
        if len(calls) == call:
            raise torch.OutOfMemoryError("out of memory")
        exact(**settings)

    monkeypatch.setattr(grad_sample_module, "create_or_accumulate_grad_sample", fails_once)
    model = prepared(make_vit, "lora+patch")
    privacy = Privacy(noise_multiplier=0.0, delta=1e-3, max_grad_norm=1.0)
    step = step_of(model, privacy)
    with pytest.raises(torch.OutOfMemoryError):
        step.dry_step(batch)
    found, (expected, _) = gradients_of(step, *batch), one_at_a_time(model, *batch, 1.0)
    for name, gradient in found.items():
        torch.testing.assert_close(12 * gradient, expected[name], rtol=1e-3, atol=1e-5)

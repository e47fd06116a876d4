import copy
import hashlib
import random

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from lorakit import Experiment, Privacy, Recipe
from lorakit.data import Split, normalise
from lorakit.lora.lora import merge_lora
from lorakit.lora.vit import METHODS, apply_method, create_backbone, parts
from lorakit.runtime import chosen_precision, seed_everything
from lorakit.training.augment import random_views
from lorakit.training.criterion import Criterion
from lorakit.training.evaluate import predict
from lorakit.training.fit import DivergenceError, evaluate, fit
from lorakit.training.optimizer import make_optimizer, make_scheduler
from lorakit.training.step import PlainStep
from tests.checkpoints import rewrite

QUICK = Recipe(epochs=1, batch_size=50)
RUN = {"progress": False, "device": "cpu"}


def fresh(method="lora+patch"):
    torch.manual_seed(0)
    return apply_method(create_backbone(classes=10), method, rank=2)


@pytest.mark.parametrize("method", METHODS)
def test_what_is_frozen_stays_bitwise_and_all_that_trains_moves(digits, method):
    model = fresh(method)
    before = {name: p.clone() for name, p in model.named_parameters()}
    fit(model, digits.train, QUICK.replace(lr=1e-2), **RUN)  # 4 steps
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter, before[name]) != parameter.requires_grad, name


def test_learns_and_evaluate_agrees_with_a_plain_count(digits):
    model = fresh()
    history = fit(model, digits.train, QUICK.replace(lr=5e-3, epochs=6), val=digits.val, **RUN)
    assert [row["epoch"] for row in history] == [1, 2, 3, 4, 5, 6]
    assert history[-1]["loss"] < history[0]["loss"] / 2
    measured = evaluate(model, digits.test, batch_size=7, device="cpu")
    logits = model(digits.test.images.float() / 127.5 - 1)
    assert measured["accuracy"] == (logits.argmax(1) == digits.test.labels).sum().item() / 100
    loss = torch.nn.functional.cross_entropy(logits, digits.test.labels).item()
    assert measured["loss"] == pytest.approx(loss, rel=1e-5)
    assert measured["accuracy"] > 0.7 and history[-1]["val_accuracy"] > 0.6


def test_a_secret_seed_has_more_than_the_32_bits_that_pytorch_keeps(monkeypatch):
    """Were it known, Python's and NumPy's numbers still would not tell of PyTorch's."""
    monkeypatch.setattr("secrets.randbits", lambda bits: 5)
    drawn = []
    for _ in range(2):
        seed_everything(None)
        drawn.append([torch.randn(2000), np.random.rand(), random.random()])
    assert not torch.equal(drawn[0][0], drawn[1][0])
    assert drawn[0][1:] != drawn[1][1:]
    assert all(abs(d[0].mean()) < 0.1 and abs(d[0].std() - 1) < 0.1 for d in drawn)
    seed_everything(5)
    assert not any(torch.equal(d[0], torch.randn(2000)) for d in drawn)


def test_numbers_of_numpy_train_and_resume_and_are_those_of_python(digits, tmp_path):
    lr = {part: np.float64(0.01) for part in ("head", "lora", "patch_embed")}
    recipe = Recipe(np.int64(2), np.int64(50), lr, weight_decay=np.float64(0.01))
    options = {"checkpoint": tmp_path / "run", "seed": np.int64(1), **RUN}
    model = apply_method(create_backbone(), "lora+patch", rank=2, alpha=np.float64(4))
    fit(model, digits.train, recipe, callback=lambda s: s.step == 5, **options)
    assert len(fit(model, digits.train, recipe, **options)) == 2
    ours, theirs = (Experiment(seed=kind(3), recipe=recipe) for kind in (int, np.int64))
    assert ours.id == theirs.id and len({ours, theirs}) == 1


@pytest.mark.parametrize("privacy", [None, Privacy(noise_multiplier=1.0, delta=1e-3)])
def test_chunks_of_any_size_see_the_same_views(digits, privacy):
    heads = []
    for size in (3, 8):
        model = fresh("probe")
        recipe = Recipe(1, 8, 0.01, privacy=privacy, views=2, physical_batch=size)
        fit(model, digits.train.take(torch.arange(40)), recipe, seed=0, **RUN)
        heads.append(model.head.weight)
    torch.testing.assert_close(*heads)


@pytest.mark.parametrize("schedule", ["one-cycle", "cosine"])
def test_same_seed_repeats_exactly_and_another_does_not(digits, schedule):
    def weights(seed):
        model = fresh()
        fit(model, digits.train, QUICK.replace(schedule=schedule), seed=seed, **RUN)
        return model.head.weight

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))


def test_each_part_has_its_own_learning_rate(digits):
    model = fresh()
    start = {part: [p.clone() for p in ps] for part, ps in parts(model).items()}
    lr = {"head": 1e-2, "lora": 1e-4, "patch_embed": 1e-12}
    fit(model, digits.train, QUICK.replace(lr=lr), **RUN)
    moved = {
        part: max((p - s).abs().max().item() for p, s in zip(ps, start[part]))
        for part, ps in parts(model).items()
    }
    assert moved["head"] > 10 * moved["lora"] > 0
    assert moved["patch_embed"] < 1e-7


@pytest.mark.parametrize("schedule", ["one-cycle", "cosine"])
def test_stopped_and_resumed_equals_unbroken(digits, tmp_path, schedule):
    recipe = QUICK.replace(epochs=3, schedule=schedule)
    whole = fresh()
    expected = fit(whole, digits.train, recipe, **RUN)

    path = tmp_path / "run.safetensors"
    broken = fresh()
    options = {"checkpoint": path, **RUN}
    fit(broken, digits.train, recipe, callback=lambda s: s.step == 6, **options)
    resumed = fresh()
    history = fit(resumed, digits.train, recipe, **options)
    assert [row["loss"] for row in history] == [row["loss"] for row in expected]
    for name, parameter in whole.named_parameters():
        assert torch.equal(parameter, resumed.get_parameter(name)), name


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_the_moving_average_is_that_of_the_weights_after_each_step(digits, tmp_path, optimizer):
    recipe = QUICK.replace(epochs=3, ema=0.5, optimizer=optimizer)
    model, after = fresh("probe"), []
    expected = model.head.weight.detach().clone()

    def record(step):
        after.append(model.head.weight.detach().clone())

    history = fit(model, digits.train, recipe, val=digits.val, callback=record, **RUN)
    for t, weight in enumerate(after, start=1):
        share = min(0.5, t / (9 + t))
        expected = share * expected + (1 - share) * weight
    torch.testing.assert_close(model.head.weight, expected)
    measured = evaluate(model, digits.val, device="cpu")
    assert measured["loss"] == history[-1]["val_loss"]  # the average was measured
    raw = fresh("probe")
    fit(raw, digits.train, recipe.replace(ema=None), **RUN)
    assert torch.equal(raw.head.weight, after[-1])  # and training went on without it

    options = {"checkpoint": tmp_path / "run", **RUN}
    fit(fresh("probe"), digits.train, recipe, callback=lambda s: s.step == 6, **options)
    for _ in range(2):  # the second time from the end of the run
        resumed = fresh("probe")
        fit(resumed, digits.train, recipe, **options)
        assert torch.equal(resumed.head.weight, model.head.weight)
    with pytest.raises(ValueError, match="made with other ema"):
        fit(fresh("probe"), digits.train, recipe.replace(ema=0.6), **options)


def test_views_are_mirrored_and_shifted_images():
    images = torch.randint(256, (5, 3, 12, 10), dtype=torch.uint8)
    views = random_views(images, 200)
    assert views.dtype == torch.uint8 and views.shape == (1000, 3, 12, 10)
    for image, some in zip(images, views.split(200)):
        padded = F.pad(image[None].float(), (4, 4, 4, 4), mode="reflect")[0]
        possible = {
            bytes(v.to(torch.uint8).numpy().tobytes())
            for y in range(9) for x in range(9)
            for crop in [padded[:, y : y + 12, x : x + 10]] for v in (crop, crop.flip(-1))
        }  # fmt: skip
        found = {v.contiguous().numpy().tobytes() for v in some}
        assert found <= possible and len(found) > 80  # of 162


def test_a_plain_step_takes_the_mean_over_all_views(digits):
    model, seen = fresh("probe"), []

    def record(images):
        seen.append(images)
        return normalise(images)

    before = copy.deepcopy(model)
    images, labels = digits.train.images[:6], digits.train.labels[:6]
    sgd = torch.optim.SGD(model.head.parameters(), lr=1.0)
    recipe = Recipe(batch_size=6, views=4, physical_batch=4)
    PlainStep(model, sgd, recipe, 6, Criterion(record)).step((images, labels))
    logits = before(normalise(torch.cat(seen)))
    F.cross_entropy(logits, labels.repeat_interleave(4)).backward()
    expected = before.head.weight - before.head.weight.grad
    torch.testing.assert_close(model.head.weight, expected, rtol=1e-4, atol=1e-6)


def test_checkpoints_that_do_not_fit_are_refused(digits, tmp_path):
    path = tmp_path / "run.checkpoint"
    options = {"checkpoint": path, **RUN}
    fit(fresh(), digits.train, QUICK, **options)
    with pytest.raises(ValueError, match="made with other batch_size, seed"):
        fit(fresh(), digits.train, QUICK.replace(batch_size=40), seed=3, **options)
    with pytest.raises(ValueError, match="made with other trains"):
        fit(fresh("lora"), digits.train, QUICK, **options)
    louder = apply_method(create_backbone(classes=10), "lora+patch", rank=2, alpha=16)
    with pytest.raises(ValueError, match="made with other LoRA scales"):
        fit(louder, digits.train, QUICK, **options)
    shuffled = Split(digits.train.images.flip(2), digits.train.labels)  # the same values, moved
    for other in (digits.test, shuffled, Split(digits.train.images, digits.train.labels.flip(0))):
        with pytest.raises(ValueError, match="made with other data"):
            fit(fresh(), other, QUICK, **options)
    wide = apply_method(create_backbone(classes=11), "lora+patch", rank=2)
    with pytest.raises(ValueError, match="another model"):
        fit(wide, digits.train, QUICK, **options)


def bend_a_moment(state):
    state["optimizer"]["state"][0]["exp_avg"] = torch.zeros(3, 3)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (bend_a_moment, "another model"),
        (lambda state: state["optimizer"]["param_groups"].pop(), "another model"),
        (lambda state: state.update(random=torch.zeros(3, dtype=torch.uint8)), "another model"),
        (lambda state: state["scheduler"].pop("last_epoch"), "another model"),
        (lambda state: state["random"].zero_(), "checkpoint=.*"),
        (lambda state: state["history"].pop(), "history tells of 0 steps, its optimiser took 4"),
        (lambda state: state["scheduler"].update(last_epoch=9), "optimiser took 9"),
        (lambda state: state["average"].pop("values"), "another model"),
        (lambda state: state.pop("model"), "not a lorakit checkpoint"),
        (lambda state: state.update(history="none"), "not a lorakit checkpoint"),
    ],
)
def test_a_bent_checkpoint_changes_nothing_by_half(digits, tmp_path, change, words):
    path = tmp_path / "run.checkpoint"
    fit(fresh(), digits.train, QUICK, checkpoint=path, **RUN)
    rewrite(path, change)
    model = fresh()
    before = [p.clone() for p in model.parameters()]
    with pytest.raises(ValueError, match=words):
        fit(model, digits.train, QUICK, checkpoint=path, **RUN)
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters()))


def test_a_damaged_checkpoint_is_refused_and_nothing_in_it_is_run(digits, tmp_path):
    path = tmp_path / "run.checkpoint"
    fit(fresh("probe"), digits.train, QUICK, checkpoint=path, **RUN)
    whole = path.read_bytes()
    head = whole.partition(b"\n")[0].rpartition(b" ")[0]
    evil = f"cos\nmkdir\n(V{tmp_path / 'run by the checkpoint'}\ntR.".encode()  # a pickle
    signed = head + b" " + hashlib.sha256(evil).hexdigest().encode() + b"\n" + evil
    flipped = [whole[:i] + bytes([whole[i] ^ 1]) + whole[i + 1 :] for i in (3, 40, 500, -1)]
    for content in (b"", b"\x80\x04nonsense" * 9, whole[:500], *flipped, evil, signed):
        path.write_bytes(content)
        with pytest.raises(ValueError, match="not a lorakit checkpoint"):
            fit(fresh("probe"), digits.train, QUICK, checkpoint=path, **RUN)
    assert not (tmp_path / "run by the checkpoint").exists()


def test_callback_sees_every_step_and_stops_at_once(digits):
    seen = []
    history = fit(fresh("probe"), digits.train, QUICK, callback=seen.append, **RUN)
    assert [s.step for s in seen] == [1, 2, 3, 4] and {s.steps for s in seen} == {4}
    assert len(history) == 1
    seen.clear()

    def stop(step):
        seen.append(step)
        return step.step == 2

    assert fit(fresh("probe"), digits.train, QUICK, callback=stop, **RUN) == []
    assert len(seen) == 2


def test_progress_shows_in_a_terminal(digits, capsys):
    fit(fresh("probe"), digits.train, QUICK, **{**RUN, "progress": True})
    assert "4/4" in capsys.readouterr().err


def test_divergence_names_the_step(digits):
    model, calls = fresh(), []

    def poison(module, arguments, out):
        calls.append(1)
        return out * float("nan") if len(calls) == 3 else out

    model.patch_embed.register_forward_hook(poison)
    with pytest.raises(DivergenceError, match=r"nan at step 3 of 4 \(epoch 1\)"):
        fit(model, digits.train, QUICK, **RUN)


def test_a_criterion_of_another_loss_is_summed_and_watched_as_well(digits):
    class Distance(Criterion):
        def loss(self, logits, images, labels):
            return F.mse_loss(logits[:, 0], images.float().mean((1, 2, 3)) / 0**self.broken)

    criterion, images, labels = Distance(), digits.train.images[:9], digits.train.labels[:9]
    criterion.broken = 0
    loss = criterion(fresh(), images, labels).item()
    assert criterion.means()["loss"] == pytest.approx(loss)
    criterion.broken = 1
    with pytest.raises(DivergenceError):
        criterion(fresh(), images, labels)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"epochs": 0}, ["epochs=0", "1 or more"]),
        ({"batch_size": 0}, ["batch_size=0"]),
        ({"lr": -1.0}, ["-1.0", "above 0"]),
        ({"lr": {"head": 1e-3, "lora": 1e-3}}, ["'patch_embed'", "no learning rate"]),
        ({"lr": {"heads": 1e-3}}, ["heads", "patch_embed"]),
        ({"schedule": "linear"}, ["linear", "one-cycle"]),
        ({"views": 0}, ["views=0", "1 or more"]),
        ({"ema": 1.0}, ["ema=1.0", "below 1"]),
        ({"warmup": 1.0}, ["warmup=1.0", "below 1"]),
        ({"epochs": 2.5}, ["epochs=2.5", "whole number"]),
        ({"weight_decay": float("nan")}, ["weight_decay=nan"]),
    ],
)
def test_bad_settings_are_named(digits, settings, words):
    with pytest.raises(ValueError) as error:
        fit(fresh(), digits.train, QUICK.replace(**settings), **RUN)
    assert all(word in str(error.value) for word in words)


@pytest.mark.parametrize("schedule", ["one-cycle", "cosine"])
@pytest.mark.parametrize(("steps", "warmup"), [(9, 0.1), (4, 0.2), (3, 0.25), (1, 0.1), (7, 0.0)])
def test_schedules_work_for_any_number_of_steps(schedule, steps, warmup):
    model = fresh("probe")
    recipe = Recipe(lr=0.1, weight_decay=0.0, schedule=schedule, warmup=warmup)
    optimizer = make_optimizer(model, recipe)
    scheduler = make_scheduler(optimizer, recipe, steps)
    rates = []
    for _ in range(steps):
        rates.append(scheduler.get_last_lr()[0])
        optimizer.step()
        scheduler.step()
    assert all(0 < rate <= 0.1 + 1e-9 for rate in rates)


@pytest.mark.parametrize(
    ("images", "labels", "words"),
    [
        (torch.zeros(2, 3, 8, 8), torch.zeros(2, dtype=torch.int64), "float32.*uint8"),
        (torch.zeros(2, 4, 8, 8, dtype=torch.uint8), torch.zeros(2, dtype=torch.int64), "2, 4, 8"),
        (torch.zeros(0, 3, 8, 8, dtype=torch.uint8), torch.zeros(0, dtype=torch.int64), "N > 0"),
        (torch.zeros(2, 3, 8, 8, dtype=torch.uint8), torch.zeros(3, dtype=torch.int64), "labels"),
    ],
)
def test_a_split_refuses_what_would_train_on_nonsense(images, labels, words):
    with pytest.raises(ValueError, match=words):
        Split(images, labels)


def test_nothing_to_train_is_an_error(digits):
    with pytest.raises(ValueError, match="nothing to train"):
        fit(fresh("probe").requires_grad_(False), digits.train, QUICK, **RUN)


def test_merged_lora_would_not_train_and_is_refused(digits):
    with pytest.raises(ValueError, match="unmerge_lora"):
        fit(merge_lora(fresh()), digits.train, QUICK, **RUN)


def test_asking_for_a_gpu_where_there_is_none(digits):
    if torch.cuda.is_available():
        pytest.skip("there is one")
    with pytest.raises(ValueError, match="device='cuda'"):
        fit(fresh(), digits.train, QUICK, device="cuda", progress=False)


@pytest.mark.parametrize("private", [False, True])
def test_bfloat16_is_close_to_float32_and_the_setting_of_products_comes_back(digits, private):
    privacy = {"privacy": Privacy(noise_multiplier=0.0, delta=1e-4)} if private else {}
    seen = []
    for precision in ("float32", "bf16"):
        torch.manual_seed(0)
        model = create_backbone(classes=10)
        apply_method(model, "lora+patch", private=private)
        before = torch.get_float32_matmul_precision()
        during = []
        recipe = Recipe(1, 100, 1e-3, "sgd", precision=precision, **privacy)
        watch = lambda _, d=during: d.append(torch.get_float32_matmul_precision())  # noqa: E731
        fit(model, digits.train, recipe, seed=0, callback=watch, **RUN)
        assert set(during) == {"highest" if precision == "float32" else "high"}
        assert torch.get_float32_matmul_precision() == before
        assert all(p.dtype == torch.float32 for p in model.parameters())
        seen.append(predict(model, digits.val, device="cpu", precision=precision))
    gap = (seen[0] - seen[1]).abs().max()
    assert 1e-6 < gap < 0.3


def test_precision_follows_the_device_unless_it_is_said():
    cpu, cuda = torch.device("cpu"), torch.device("cuda")
    assert chosen_precision(None, cpu) == "float32" and chosen_precision(None, cuda) == "bf16"
    assert chosen_precision("tf32", cuda) == "tf32"
    with pytest.raises(ValueError, match="precision='fp16': allowed"):
        chosen_precision("fp16", cpu)
    with pytest.raises(ValueError, match="precision='half'"):
        Recipe(precision="half")

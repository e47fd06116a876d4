"""A private step: a Poisson batch, gradients clipped example by example, summed and noised.

``privacy.dpsgd`` is the same by hand, to be read first.
"""

import math
import warnings
from collections.abc import Iterator
from functools import partial

import torch
from timm.layers import LayerNorm
from torch import Tensor, nn

from lorakit.lora.position import PositionUpdate, grad_sampler
from lorakit.privacy.accountant import PrivacyError, compute_epsilon
from lorakit.privacy.banded import as_dp_sgd
from lorakit.privacy.dpsgd import clip_groupwise
from lorakit.training import distributed, guards
from lorakit.training.criterion import Criterion
from lorakit.training.loader import Batch
from lorakit.training.recipe import Recipe
from lorakit.training.step import chunks, views_of

_GRADIENT_BYTES = 2**28  # memory for per-example gradients, unless physical_batch says otherwise


class PrivateStep:
    """DP-SGD (Abadi et al. 2016, algorithm 1) through Opacus, with any optimiser behind it.

    Each example is in a batch with probability q = batch_size / N, independently (Poisson
    sampling), so that a batch may be larger, smaller or empty: an empty one is noised and counted
    like any other. Gradients are clipped example by example to norm C, summed, noised with
    standard deviation sigma C and divided by the expected batch size.

    The arguments are those of ``PlainStep``; the noise is chosen for the steps that the recipe
    takes on N examples. PrivacyError: see ``guards``.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        recipe: Recipe,
        examples: int,
        criterion: Criterion | None = None,
    ) -> None:
        from opacus import GradSampleModule
        from opacus.grad_sample import compute_layer_norm_grad_sample, register_grad_sampler
        from opacus.optimizers import DistributedDPOptimizer, DPOptimizer

        self.privacy = recipe.for_examples(examples).privacy
        if self.privacy.bands is not None and distributed.world_size() > 1:
            raise ValueError(f"bands={self.privacy.bands}: allowed in several processes: None")
        distributed.broadcast_model(model)
        self.model, self.criterion = model, criterion or Criterion()
        guards.check_layers(model)
        self.parameters = guards.matched_parameters(model, optimizer)
        self.examples, self.batch_size, self.views = examples, recipe.batch_size, recipe.views
        self.planned, self.taken = recipe.steps(examples), 0
        self.sample_rate = recipe.batch_size / examples
        self.sigma = self.privacy.sigma(self.sample_rate, self.planned)
        size = sum(p.numel() for p in self.parameters.values())
        fitting = max(1, _GRADIENT_BYTES // (4 * size * (recipe.views or 1)))
        self.physical_batch = recipe.physical_batch or fitting
        self.device = next(iter(self.parameters.values())).device
        self._without_gradient, self._nonempty, self._broken = dict(self.parameters), 0, False
        register_grad_sampler(PositionUpdate)(grad_sampler)
        register_grad_sampler(LayerNorm)(compute_layer_norm_grad_sample)  # timm's own subclass
        self._module = GradSampleModule(model, loss_reduction="mean")  # puts hooks on the model
        # of several processes, the first adds the noise to the sum
        alone = distributed.world_size() == 1
        kind = DPOptimizer if alone else DistributedDPOptimizer
        if self.privacy.bands is not None:
            from lorakit.training.correlated import CorrelatedDPOptimizer

            kind = partial(CorrelatedDPOptimizer, bands=self.privacy.bands)
        self.optimizer = kind(
            optimizer,
            noise_multiplier=self.sigma,
            max_grad_norm=self.privacy.max_grad_norm,
            expected_batch_size=recipe.batch_size / distributed.world_size(),
        )

    def sample(self) -> Iterator[Tensor]:
        """Poisson samples, as many as there are expected batches in the data, rounded up.

        With b bands, step t draws from the examples whose place is t mod b, at b times the rate.
        """
        bands, first = self.privacy.bands or 1, self.taken
        for step in range(first, first + math.ceil(self.examples / self.batch_size)):
            part = torch.arange(step % bands, self.examples, bands)
            yield part[torch.rand(len(part)) < bands * self.sample_rate]

    def step(self, batch: Batch) -> float:
        """Clip, sum, noise, update; the mean loss of the batch, NaN if it is empty.

        The promise covers the parameters. It does not cover the loss, which gets no noise, nor the
        error for missing gradients, which are looked for before the noise.
        """
        guards.check_unchanged(self.model, self.parameters, self.device)
        if self._broken:
            raise PrivacyError(
                "an earlier step raised an error and left half a sum of gradients; make a new "
                "PrivateStep, from the last checkpoint"
            )
        (size,) = distributed.all_reduce([len(batch[1])])
        self._broken, total = True, 0.0
        for chunk in chunks(batch, self.physical_batch):
            total += self._backward(chunk) * len(chunk[1])  # the gradient g_i of each example
            self.optimizer.clip_and_accumulate()  # sum_i g_i min(1, C / |g_i|)
        self.optimizer.add_noise()  # + sigma C N(0, I), or what is left of it, see privacy.banded
        self.optimizer.scale_grad()  # / expected batch size
        self._count(empty=not len(batch[1]))  # or refuse the step
        if distributed.world_size() > 1:
            self.optimizer.reduce_gradients()
        self.optimizer.original_optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self._broken = False
        return distributed.all_reduce([total])[0] / (size or math.nan)

    def dry_step(self, batch: Batch) -> None:
        """What a batch needs in memory, without a step: nothing is released, nothing counted."""
        try:
            self._backward(batch)
            self.optimizer.clip_and_accumulate()
        finally:
            self._clear()

    def spent(self) -> dict[str, float]:
        """``epsilon`` so far, at the privacy settings' delta."""
        return {"epsilon": self._epsilon_after(self.taken)}

    def state_dict(self) -> dict[str, object]:
        """What the accountant must remember across a stop, and the noise still to be taken back."""
        state = {"sigma": self.sigma, "sample_rate": self.sample_rate, "taken": self.taken}
        return state if self.privacy.bands is None else state | {"noise": self.optimizer.past}

    def load_state_dict(self, state: dict[str, object], taken: int) -> None:
        """Go on counting from a saved state; ValueError unless it is this mechanism's own."""
        saved, now = state.copy(), self.state_dict() | {"taken": taken}
        noise, mine = saved.pop("noise", None), now.pop("noise", None)
        if saved != now or (noise is None) != (mine is None):
            raise ValueError(f"the privacy spent is {saved}, it should be {now}")
        if noise is not None:
            self.optimizer.load_noise(noise, taken)
        self.taken = taken

    def close(self) -> None:
        """Take the hooks off the model and free the per-example gradients."""
        self._clear()
        self._module.to_standard_module()

    def _backward(self, batch: Batch) -> float:
        """The mean loss; leaves each example's gradient, the mean over its views, in float32."""
        for parameter in self.parameters.values():
            parameter.grad = parameter.grad_sample = None  # those of the chunk before
        if not len(batch[1]):
            for parameter in self.parameters.values():
                parameter.grad_sample = parameter.new_zeros(0, *parameter.shape)
            return 0.0
        with guards.one_pass(self.model):
            loss = self.criterion(self.model, *views_of(batch, self.views))
        with warnings.catch_warnings():  # of hooks on the first layer, whose input is data
            warnings.filterwarnings("ignore", "Full backward hook is firing")
            loss.backward()
        for parameter in self.parameters.values():
            if isinstance(parameter.grad_sample, Tensor):
                each = parameter.grad_sample.float()  # else norms are in bfloat16
                if self.views:  # (n K, ...) to (n, ...)
                    each = each.unflatten(0, (-1, self.views)).mean(1)
                parameter.grad_sample = each
        if self.privacy.groupwise_clipping:
            there = {n: g for n, p in self.parameters.items() if (g := p.grad_sample) is not None}
            for name, g in clip_groupwise(there, self.optimizer.max_grad_norm).items():
                self.parameters[name].grad_sample = g
        return loss.item()

    def _count(self, *, empty: bool) -> None:
        """Count the step before it moves a parameter, or refuse it."""
        after = self.taken + 1
        if after > self.planned and self._epsilon_after(after) > self.privacy.epsilon:
            raise PrivacyError(
                f"step {after} would spend more than epsilon={self.privacy.epsilon}: "
                f"the noise was chosen for {self.planned} steps, and they are taken"
            )
        if not empty and self._without_gradient:
            self._nonempty += 1
            still = {n: p for n, p in self._without_gradient.items() if not p.summed_grad.any()}
            self._without_gradient = still
            if still and self._nonempty >= 3:
                raise PrivacyError(
                    "the gradients of these parameters were all zero in three steps: only noise "
                    f"would move them, and cost epsilon: {guards.listed(still)}"
                )
        self.taken = after

    def _epsilon_after(self, steps: int) -> float:
        mechanism = self.sigma, *as_dp_sgd(self.sample_rate, steps, self.privacy.bands)
        return compute_epsilon(*mechanism, self.privacy.delta, accountant=self.privacy.accountant)

    def _clear(self) -> None:
        """Take away what a step that was broken off leaves behind, images among it."""
        for module in self.model.modules():
            for leftover in ("activations", "max_batch_len"):
                if hasattr(module, leftover):
                    delattr(module, leftover)
        for parameter in self.parameters.values():
            if hasattr(parameter, "_current_grad_sample"):
                del parameter._current_grad_sample
            parameter._forward_counter = 0
            parameter.grad = parameter.grad_sample = parameter.summed_grad = None

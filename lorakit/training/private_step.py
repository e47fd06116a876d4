"""Private steps: Poisson batches, gradients clipped example by example and noised, by Opacus."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator

import torch
from timm.layers import LayerNorm
from torch import Tensor, nn

from lorakit.lora.position import PositionUpdate, grad_sampler
from lorakit.privacy.accountant import Privacy, PrivacyError, compute_epsilon
from lorakit.training import distributed
from lorakit.training.guards import check_unchanged, listed, matched_parameters
from lorakit.training.step import LossOf

_GRADIENT_BYTES = 2**28  # memory for per-example gradients, unless physical_batch says otherwise


class PrivateSteps:
    """DP-SGD (Abadi et al. 2016, algorithm 1) with any optimiser behind it.

    Each example is in a batch with probability q = batch_size / N, independently (Poisson
    sampling), so that a batch may be larger, smaller or empty: an empty one is noised and counted
    like any other. Gradients are clipped example by example to norm C, summed, noised with
    standard deviation sigma C and divided by the expected batch size.

    Args:
        model: on its device already, its trainable parameters chosen.
        optimizer: over exactly those parameters.
        privacy: what is promised.
        examples: N.
        batch_size: the expected one, 1 to N.
        steps: how many are planned; the noise is chosen for these.
        physical_batch: examples whose gradients are held at a time; a larger batch is summed up
            from several (what Opacus' ``BatchMemoryManager`` does). None: as many as fit 256 MiB.

    Raises:
        ValueError: delta not below 1/N, or a batch size out of range.
        PrivacyError: the optimiser's parameters are not the model's trainable ones, or some sit in
            no layer.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        privacy: Privacy,
        *,
        examples: int,
        batch_size: int,
        steps: int,
        physical_batch: int | None = None,
    ) -> None:
        from opacus import GradSampleModule
        from opacus.grad_sample import compute_layer_norm_grad_sample, register_grad_sampler
        from opacus.optimizers import DistributedDPOptimizer, DPOptimizer

        privacy.check(examples, batch_size)
        distributed.broadcast_model(model)
        self.model = self.forward = model
        self.privacy = privacy
        self.parameters = matched_parameters(model, optimizer)
        self.examples, self.planned, self.taken = examples, steps, 0
        self.sample_rate = batch_size / examples
        self.sigma = privacy.sigma(self.sample_rate, steps)
        size = sum(p.numel() for p in self.parameters.values())
        self.physical_batch = physical_batch or max(1, _GRADIENT_BYTES // (4 * size))
        register_grad_sampler(PositionUpdate)(grad_sampler)
        register_grad_sampler(LayerNorm)(compute_layer_norm_grad_sample)  # timm's own subclass
        self.device = next(iter(self.parameters.values())).device
        self._without_gradient, self._nonempty = dict(self.parameters), 0
        self._batch_is_empty = self._broken = False
        self._module = GradSampleModule(model, loss_reduction="mean")  # puts hooks on the model
        # of several processes, the first adds the noise to the sum
        kind = DPOptimizer if distributed.world_size() == 1 else DistributedDPOptimizer
        self.optimizer = kind(
            optimizer,
            noise_multiplier=self.sigma,
            max_grad_norm=privacy.max_grad_norm,
            expected_batch_size=batch_size / distributed.world_size(),
        )
        self.optimizer.attach_step_hook(self._before_update)

    def batches(self) -> Iterator[Tensor]:
        """Poisson samples, as many as there are expected batches in the data, rounded up."""
        from opacus.utils.uniform_sampler import UniformWithReplacementSampler

        count = -(-self.examples // round(self.sample_rate * self.examples))
        sampler = UniformWithReplacementSampler(
            num_samples=self.examples, sample_rate=self.sample_rate, steps=count
        )
        for indices in sampler:
            yield torch.tensor(indices, dtype=torch.long)

    def step(self, batch: Tensor, loss_of: LossOf) -> float:
        """Clip, sum, noise, count, update; the mean loss of the batch, NaN if it is empty.

        The promise covers the parameters. It does not cover the loss, which gets no noise, nor the
        error for missing gradients, which are looked for before the noise.

        Raises:
            PrivacyError: the step would pass the target epsilon, the model was changed or moved
                since it was wrapped, a parameter has had no gradient in three steps, or an earlier
                step was broken off.
        """
        check_unchanged(self.model, self.parameters, self.device)
        if self._broken:
            raise PrivacyError(
                "an earlier step raised an error and left half a sum of gradients; make new steps, "
                "from the last checkpoint"
            )
        self._broken = True  # until this step has come to its end
        mine = distributed.shard(batch)
        self._batch_is_empty = len(mine) == 0
        if self._batch_is_empty:
            for parameter in self.parameters.values():
                parameter.grad_sample = parameter.new_zeros(0, *parameter.shape)
            self._update(last=True)
        chunks, total = mine.split(self.physical_batch) if len(mine) else (), 0.0
        for number, chunk in enumerate(chunks, start=1):
            total += self._backward(chunk, loss_of) * len(chunk) / len(batch)
            self._update(last=number == len(chunks))
        self._broken = False
        return distributed.all_reduce([total], self.device)[0] if len(batch) else math.nan

    def dry_step(self, chunk: Tensor, loss_of: LossOf) -> None:
        """What a chunk needs in memory, without a step: nothing is released, nothing counted."""
        try:
            self._backward(chunk, loss_of)
            self._in_float32()
            self.optimizer.clip_and_accumulate()
        finally:
            self._clear()

    def spent(self) -> dict[str, float]:
        """``epsilon`` so far, at the privacy settings' delta."""
        return {"epsilon": self._epsilon_after(self.taken)}

    def close(self) -> None:
        """Take the hooks off the model and free the per-example gradients."""
        self._clear()
        self._module.to_standard_module()

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

    def state(self) -> dict[str, float]:
        """What the accountant must remember across a stop."""
        return {"sigma": self.sigma, "sample_rate": self.sample_rate, "taken": self.taken}

    def load_state(self, state: dict[str, float], taken: int) -> None:
        """Go on counting from a saved state; ValueError unless it is this mechanism's own."""
        expected = self.state() | {"taken": taken}
        if state != expected:
            raise ValueError(f"the privacy spent is {state}, it should be {expected}")
        self.taken = taken

    def _epsilon_after(self, steps: int) -> float:
        return compute_epsilon(
            self.sigma,
            self.sample_rate,
            steps,
            self.privacy.delta,
            accountant=self.privacy.accountant,
        )

    def _backward(self, chunk: Tensor, loss_of: LossOf) -> float:
        """Per-example gradients of a chunk; its mean loss."""
        loss = loss_of(chunk)
        with warnings.catch_warnings():  # of hooks on the first layer, whose input is data
            warnings.filterwarnings("ignore", "Full backward hook is firing")
            loss.backward()
        return loss.item()

    def _in_float32(self) -> None:
        """Opacus would compute norms in bfloat16."""
        for parameter in self.parameters.values():
            if isinstance(parameter.grad_sample, Tensor):
                parameter.grad_sample = parameter.grad_sample.float()

    def _update(self, *, last: bool) -> None:
        """Clip and sum up; after the last chunk of a batch also noise the sum and step."""
        self._in_float32()
        self.optimizer.signal_skip_step(do_skip=not last)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)

    def _before_update(self, _optimizer) -> None:
        """Opacus calls this when the gradients are noised and the parameters not yet moved."""
        after = self.taken + 1
        if after > self.planned and self._epsilon_after(after) > self.privacy.epsilon:
            raise PrivacyError(
                f"step {after} would spend more than epsilon={self.privacy.epsilon}: "
                f"the noise was chosen for {self.planned} steps, and they are taken"
            )
        if not self._batch_is_empty and self._without_gradient:
            self._nonempty += 1
            self._without_gradient = {
                n: p for n, p in self._without_gradient.items() if not p.summed_grad.any()
            }
            if self._without_gradient and self._nonempty >= 3:
                raise PrivacyError(
                    "the gradients of these parameters were all zero in three steps: only noise "
                    f"would move them, and cost epsilon: {listed(self._without_gradient)}"
                )
        self.taken = after

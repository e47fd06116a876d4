"""How many images fit into a GPU's memory at a time, found by trying."""

from collections.abc import Callable
from contextlib import suppress

import torch

from lorakit.training import distributed
from lorakit.training.loader import Loader
from lorakit.training.private_step import PrivateStep
from lorakit.training.recipe import Recipe
from lorakit.training.step import PlainStep

_SPARE = 0.85  # share of the memory that a chunk may take: steps differ a little


def choose_physical_batch(stepper: PlainStep | PrivateStep, loader: Loader, recipe: Recipe) -> None:
    """On CUDA, where the recipe does not say, as many as fit; nothing is left of the trial."""
    if recipe.physical_batch is not None or loader.device.type != "cuda":
        return
    trained = sum(p.nbytes for p in stepper.model.parameters() if p.requires_grad)
    stepper.model.train()
    with torch.random.fork_rng([loader.device]):
        stepper.physical_batch = largest_chunk(
            lambda n: stepper.dry_step(loader.take(torch.arange(n))),
            -(-min(recipe.batch_size, len(loader.labels)) // distributed.world_size()),
            loader.device,
            later=4 * trained,  # the sum, the noise, Adam's two moments
        )


def largest_chunk(
    trial: Callable[[int], None], most: int, device: torch.device, later: int = 0
) -> int:
    """The largest of most, most / 2, most / 4 ... images that a step can hold; or a MemoryError.

    Args:
        trial: does what a step does with so many images, and leaves nothing behind.
        later: bytes that a step needs and a trial does not, such as the optimiser's.
    """
    _, total = torch.cuda.mem_get_info(device)
    size = most
    while True:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
        with suppress(torch.cuda.OutOfMemoryError):
            trial(size)
            if torch.cuda.max_memory_reserved(device) + later < _SPARE * total or size == 1:
                return size
        if size == 1:
            raise MemoryError(
                f"the memory of {device} does not hold one image's gradients: choose a smaller "
                "backbone, another method than 'full', or another device"
            )
        size = -(-size // 2)

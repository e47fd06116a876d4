"""How many images fit into memory at a time, found by trying."""

from collections.abc import Callable

import psutil
import torch

from lorakit.runtime import peak_memory_mb, reset_peak_memory
from lorakit.training import distributed
from lorakit.training.loader import Loader
from lorakit.training.private_step import PrivateStep
from lorakit.training.recipe import Recipe
from lorakit.training.step import PlainStep

_SPARE = 0.85  # share of the free memory that a chunk may take: steps differ a little


def choose_physical_batch(stepper: PlainStep | PrivateStep, loader: Loader, recipe: Recipe) -> None:
    """As many images as fit into memory, if that is asked for; nothing is left of the trial."""
    device, asked = loader.device, recipe.physical_batch
    if not (asked == "auto" or (asked is None and device.type == "cuda")):
        return
    trained = sum(p.nbytes for p in stepper.model.parameters() if p.requires_grad)
    stepper.model.train()
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        stepper.physical_batch = largest_chunk(
            lambda n: stepper.dry_step(loader.take(torch.arange(n))),
            -(-min(recipe.batch_size, len(loader.labels)) // distributed.world_size()),
            device,
            later=4 * trained,  # the sum, the noise, Adam's two moments
        )


def largest_chunk(
    trial: Callable[[int], None], most: int, device: torch.device, later: int = 0
) -> int:
    """The largest of most, most / 2, most / 4 ... images that a step can hold; or a MemoryError.

    Args:
        trial: does what a step does with so many images, and leaves nothing behind.
        device: on CUDA it tries; elsewhere it estimates from small chunks, and fills no memory.
        later: bytes that a step needs and a trial does not, such as the optimiser's.
    """
    needs = ""
    if device.type == "cuda":

        def fits(size: int) -> bool:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(device)
            try:
                trial(size)
            except torch.cuda.OutOfMemoryError:
                return False
            _, total = torch.cuda.mem_get_info(device)
            return torch.cuda.max_memory_reserved(device) + later < _SPARE * total or size == 1

    else:
        fixed, each = memory_needs(trial, most, device)
        room = _SPARE * psutil.virtual_memory().available - fixed - later
        needs = f", about {(fixed + each) / 2**30:.1f} GiB,"

        def fits(size: int) -> bool:
            return size * each <= room

    size = most
    while not fits(size):
        if size == 1:
            raise MemoryError(
                f"the memory of {device} does not hold one image's gradients{needs}: choose a "
                "smaller backbone, another method than 'full', or another device"
            )
        size = -(-size // 2)
    return size


def memory_needs(
    trial: Callable[[int], None], most: int, device: torch.device
) -> tuple[float, float]:
    """Bytes that a step takes: a fixed part, and one for each image; from two small chunks."""
    small, large = min(2, most), min(6, most)
    trial(1)  # what the first call sets up once
    peaks = [_peak(trial, size, device) for size in (small, large)]
    if small == large:
        return 0.0, peaks[0] / small
    each = max(0.0, (peaks[1] - peaks[0]) / (large - small))
    return max(0.0, peaks[0] - small * each), each


def _peak(trial: Callable[[int], None], size: int, device: torch.device) -> float:
    """Bytes above the present level while a trial runs."""
    cuda = device.type == "cuda"
    before = torch.cuda.memory_allocated(device) if cuda else psutil.Process().memory_info().rss
    reset_peak_memory(device)
    trial(size)
    return max(0.0, peak_memory_mb(device) * 2**20 - before)

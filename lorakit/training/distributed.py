"""Several processes, on as many GPUs, as one training: ``torchrun`` starts them.

The first process draws every batch, and each takes its share of it: the same batches, gradients
and epsilon as on one GPU. Without ``torchrun`` everything here does nothing.
"""

import os

import torch
import torch.distributed as dist
from torch import Tensor, nn


def init() -> None:
    """Join the processes that ``torchrun`` started; on each GPU one, or on the CPU."""
    if "RANK" in os.environ and not dist.is_initialized():
        if torch.cuda.is_available():
            torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        dist.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo")


def world_size() -> int:
    """How many processes there are."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def is_main_process() -> bool:
    """Whether this process is the one that draws, writes and speaks."""
    return world_size() == 1 or dist.get_rank() == 0


def shard(batch: Tensor) -> Tensor:
    """This process's part of a batch: every n-th of it."""
    return batch if world_size() == 1 else batch[dist.get_rank() :: world_size()]


def broadcast(batch: Tensor, device: torch.device) -> Tensor:
    """The first process's batch, int64 (n,), for all of them, on ``device``."""
    if world_size() > 1:
        shared = [batch.clone()]  # with a part of a tensor, all of it would be sent
        dist.broadcast_object_list(shared, 0)
        (batch,) = shared
    return batch.to(device)


def all_reduce(values: list[float]) -> list[float]:
    """The sum over all processes of each value."""
    if world_size() == 1:
        return values
    sums = torch.tensor(values, dtype=torch.float64)
    dist.all_reduce(sums)
    return sums.tolist()


def barrier() -> None:
    """Until all processes are here."""
    if world_size() > 1:
        dist.barrier()


def broadcast_model(model: nn.Module) -> None:
    """Give every process the first one's weights, frozen ones too."""
    if world_size() > 1:
        for tensor in model.state_dict().values():
            dist.broadcast(tensor, 0)


def data_parallel(model: nn.Module) -> nn.Module:
    """The model behind DistributedDataParallel, which averages gradients; alone, the model."""
    if world_size() == 1:
        return model
    device = next(model.parameters()).device
    devices = [device] if device.type == "cuda" else None
    return nn.parallel.DistributedDataParallel(model, device_ids=devices)

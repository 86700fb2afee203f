"""Several processes that train one model, started by torchrun on one machine or on several.

Each holds the whole model and computes an equal part of every batch. Gradients are averaged, and so are the statistics that
a loss takes over the batch (``Ranks.mean``): every process takes the step that one process takes with the whole batch, up
to rounding.
"""

import os
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from jepa_ros.errors import JepaError

PATIENCE = timedelta(hours=12)
"""That a process waits for the others: the first drives candidates meanwhile, or one still reads its bags."""


@dataclass(frozen=True)
class Ranks:
    """The ``size`` processes of a run, of which this is number ``rank``. All must call the same methods in the same order."""

    rank: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the one that writes and reports."""
        return self.rank == 0

    def part(self, count: int) -> slice:
        """Which of ``count`` clips are computed here; JepaError where they cannot be shared out equally."""
        share, left = divmod(count, self.size)
        if left or not share:
            raise JepaError(
                f"{count} clips cannot be shared equally by {self.size} processes; choose another --batch "
                "(with --augmentation views its half is shared, since both views of a clip stay together)"
            )
        return slice(self.rank * share, (self.rank + 1) * share)

    def mean(self, x: Tensor) -> Tensor:
        """The mean over all processes, in each of them; differentiable."""
        return x if self.size == 1 else _Mean.apply(x)

    def gather(self, x: Tensor) -> Tensor:
        """(N, ...) of every process -> (size * N, ...) in each of them; not differentiable."""
        if self.size == 1:
            return x
        parts = [torch.empty_like(x) for _ in range(self.size)]
        with _reaching_all():
            dist.all_gather(parts, x.contiguous())
        return torch.cat(parts)

    def average_gradients(self, module: nn.Module) -> None:
        """Put the mean over all processes into the place of each gradient, all in one message."""
        if self.size == 1:
            return
        gradients = [p.grad for p in module.parameters() if p.grad is not None]
        joint = _mean(torch.cat([g.flatten() for g in gradients]))
        for gradient, values in zip(gradients, joint.split([g.numel() for g in gradients]), strict=True):
            gradient.copy_(values.view(gradient.shape))

    def from_first(self, value: Any) -> Any:
        """What the first process gives, in each of them; tensors on the CPU."""
        if self.size == 1:
            return value
        box = [value]
        with _reaching_all():
            dist.broadcast_object_list(box, src=0)
        return box[0]

    def leave(self) -> None:
        """End the exchange: from here on each process is by itself."""
        if self.size > 1:
            dist.destroy_process_group()


ALONE = Ranks()


def join(device: str) -> Ranks:
    """The processes that torchrun started, this one alone where it did not. CPUs talk over Gloo, GPUs over NCCL.

    device: "cpu", or "cuda", which becomes the GPU whose number is the process's on its machine. Waits for the others.
    """
    if "TORCHELASTIC_RUN_ID" not in os.environ or os.environ["WORLD_SIZE"] == "1":
        return ALONE
    if device.startswith("cuda"):
        local, found = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
        if device != "cuda" or local >= found:
            raise JepaError(
                f"device is {device!r} in process {local} of a machine with {found} GPU(s): each process takes a GPU of its "
                "own; give --device cuda and at most as many processes (--nproc_per_node)"
            )
        torch.cuda.set_device(local)
    with _reaching_all():
        dist.init_process_group("nccl" if device == "cuda" else "gloo", timeout=PATIENCE)
    return Ranks(dist.get_rank(), dist.get_world_size())


class _Mean(torch.autograd.Function):
    """Every process's loss hangs on every process's ``x``: the mean over the losses has the mean of their gradients."""

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        return _mean(x)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        return _mean(gradient)


def _mean(x: Tensor) -> Tensor:
    total = x.detach().clone(memory_format=torch.contiguous_format)
    with _reaching_all():
        dist.all_reduce(total)
    return total / dist.get_world_size()


@contextmanager
def _reaching_all():
    try:
        yield
    except RuntimeError as error:
        raise JepaError(
            "another process of this training has ended, or cannot be reached: its own message says why. Start all of them "
            f"again to go on from the last saved state ({str(error).splitlines()[0]})"
        ) from error

"""Where a model computes."""

import torch

from jepa_ros.errors import JepaError


def require_device(name: str) -> torch.device:
    """The torch device called ``name``, tried with one allocation; JepaError where it cannot be had."""
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise JepaError(f"device is {name!r}: {reason}; use cpu, or cuda where it is there") from error
    return device

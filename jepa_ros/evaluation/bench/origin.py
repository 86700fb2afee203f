"""Where and with what a run measured; no host name, no path."""

import os

import torch

from jepa_ros.evaluation import provenance


def machine(device: str) -> dict:
    """Processor, cores, memory, system with its kernel, Python; gpu: its name where the device is one."""
    gpu = torch.cuda.get_device_name(device) if torch.device(device).type == "cuda" else None
    return {**provenance.machine(), "gpu": gpu}


def load_average() -> float:
    """Of the last minute: processes that ran or waited for a core. The run itself is about 1 of it."""
    return round(os.getloadavg()[0], 2)

"""Freed memory: kept for the next tensors of a training, and given back when asked."""

import platform
import subprocess
import sys

import pytest

MEASURE = """
import resource
import torch
from jepa_ros.data.heap import give_back, keep_for_reuse

def faults(rounds=40):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(rounds):
        torch.empty(2**24).fill_(1.0)  # 64 MiB
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()

default = faults()
keep_for_reuse()
faults()  # aligned blocks settle after some rounds
kept, before = faults(), resident()
give_back()
print(default, kept, before - resident())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="of glibc alone")
def test_large_tensors_are_kept_for_reuse_until_they_are_given_back():
    run = subprocess.run([sys.executable, "-c", MEASURE], capture_output=True, text=True, check=True)
    default, kept, given_back = map(int, run.stdout.split())
    assert kept < default / 10
    assert given_back > 0.9 * 2**26

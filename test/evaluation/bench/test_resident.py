"""The peak of a process is what it had, and can be forgotten."""

import mmap
import os
import sys
from pathlib import Path

import pytest

from jepa_ros.data.heap import give_back
from jepa_ros.evaluation.bench.resident import forget_peak, peak_mib

pytestmark = pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux's /proc")


def test_a_peak_stays_after_the_memory_is_gone_until_it_is_forgotten():
    forget_peak()
    before = peak_mib()
    with mmap.mmap(-1, 2**28) as block:  # 256 MiB of its own: arrays may reuse what was freed before
        for _ in range(2**8):
            block.write(bytes(2**20))
    give_back()
    assert peak_mib() > before + 100
    assert peak_mib(os.getpid()) == pytest.approx(peak_mib(), abs=5)
    forget_peak()
    assert peak_mib() < before + 100


def test_a_process_that_has_ended_has_no_peak():
    pid = os.spawnv(os.P_NOWAIT, sys.executable, [sys.executable, "-c", ""])
    os.waitpid(pid, 0)
    assert peak_mib(pid) is None

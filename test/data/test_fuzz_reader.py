"""Bags with random damage never crash the reader, never hang it, and never take much memory.

FUZZ_BAGS=10000 reads as many, as `make nightly` does; FUZZ_FIRST=50000 begins with other damage. See bag_fuzzer.py to repeat one bag.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

BAGS = int(os.environ.get("FUZZ_BAGS", 400))
FIRST = int(os.environ.get("FUZZ_FIRST", 0))
PROCESSES = 2


@pytest.mark.timeout(120 + BAGS)
def test_damaged_bags_are_read_or_refused(tmp_path):
    share = -(-BAGS // PROCESSES)
    runs = []
    for i in range(PROCESSES):
        folder = tmp_path / str(i)
        folder.mkdir()
        command = [sys.executable, Path(__file__).with_name("bag_fuzzer.py"), folder]
        command += [str(FIRST + i * share), str(share)]
        runs.append((folder, subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)))
    outcomes = {"whole": 0, "in part": 0, "refused": 0}
    for folder, process in runs:
        output, errors = (text.decode(errors="replace") for text in process.communicate())
        at = (folder / "current").read_text() if (folder / "current").exists() else "none"
        assert process.returncode == 0, f"ended with {process.returncode} at bag {at}:\n{errors[-4000:]}"
        result = json.loads(output.splitlines()[-1])
        failures = result["failures"]
        assert not failures, f"{len(failures)} failures, the first:\n{failures[0]}"
        for outcome, count in result["outcomes"].items():
            outcomes[outcome] += count
    print(outcomes)
    assert sum(outcomes.values()) == PROCESSES * share
    assert min(outcomes.values()) > BAGS / 20, "damage that is always or never fatal proves nothing"

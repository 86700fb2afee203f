"""Every test process has a ROS domain of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = Path(__file__).with_name("conftest.py")
TELL = "import os, runpy, sys; runpy.run_path(sys.argv[1]); print(os.environ['ROS_DOMAIN_ID'])"


@pytest.mark.parametrize(
    "own, first", [({"ROS_DOMAIN_ID": "50"}, 50), ({"ROS_DOMAIN_ID": ""}, None), ({}, None)]
)
def test_the_processes_of_one_run_have_the_domains_that_follow_its_own(own, first):
    inherited = {k: v for k, v in os.environ.items() if k not in ("ROS_DOMAIN_ID", "PYTEST_XDIST_WORKER")}
    for worker in range(3):
        named = inherited | own | {"PYTEST_XDIST_WORKER": f"gw{worker}"}
        told = subprocess.run(
            [sys.executable, "-c", TELL, CONFTEST], env=named, capture_output=True, text=True
        )
        assert told.returncode == 0, told.stderr
        assert 1 <= int(told.stdout) <= 101
        assert first is None or int(told.stdout) == first + worker

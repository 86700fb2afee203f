"""A process prefers itself where its user may, and says so where not."""

import os
import subprocess
import sys

import pytest

PROGRAM = """
import os, sys, threading
from jepa_ros.nodes.base.priority import set_nice
waiting = threading.Event()
threading.Thread(target=waiting.wait, daemon=True).start()
if len(sys.argv) > 2:
    os.setuid(int(sys.argv[2]))
print(set_nice(int(sys.argv[1])))
print(sorted({os.getpriority(os.PRIO_PROCESS, int(t)) for t in os.listdir("/proc/self/task")}))
"""


def run(*args):
    done = subprocess.run([sys.executable, "-c", PROGRAM, *map(str, args)], capture_output=True, text=True)
    return done.stdout.splitlines()


def test_every_thread_gets_the_niceness():
    refused, found = run(os.getpriority(os.PRIO_PROCESS, 0) + 3)
    assert refused == "" and found == str([os.getpriority(os.PRIO_PROCESS, 0) + 3])


@pytest.mark.skipif(os.getuid() != 0, reason="a user without rights is needed, or one to become")
def test_a_user_who_may_not_is_told_what_to_do_and_nothing_changes():
    before = os.getpriority(os.PRIO_PROCESS, 0)
    refused, found = run(before - 10, 65534)
    assert "not permitted" in refused and "set the parameter nice to 0" in refused
    assert found == str([before])

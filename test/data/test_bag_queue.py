"""Messages are written or counted, in order, and soon; whoever brings them never waits."""

import subprocess
import sys
import threading

import pytest

from jepa_ros.data import bag_queue
from jepa_ros.data.bag_files import BagFile
from jepa_ros.data.bag_queue import BagQueue
from jepa_ros.data.bag_writer import BagWriter
from jepa_ros.data.messages import make_header, serialize
from jepa_ros.errors import JepaError

HEADER = "std_msgs/msg/Header"
DATA = bytes(serialize(make_header(1, "x" * 100)))


@pytest.fixture
def queue(tmp_path):
    """limit in bytes -> a queue into tmp_path/bag with the topic /a."""

    def make(limit: int = 10**6) -> BagQueue:
        queue = BagQueue(BagWriter(tmp_path / "bag", {}, live=True), limit)
        queue.add_topic("/a", HEADER, [])
        return queue

    return make


def log_times(path):
    with BagFile(path) as file:
        return [m.log_ns for m in file.messages()]


def test_all_is_written_and_counted_at_close(queue, tmp_path):
    queue = queue()
    for time in range(1000, 1100):
        queue.put("/a", time, DATA)
    queue.close()
    assert log_times(tmp_path / "bag") == list(range(1000, 1100))
    count = queue.counts["/a"]
    assert (count.messages, count.size, count.dropped) == (100, 100 * len(DATA), 0)
    assert count.rate_hz == pytest.approx(1e9)


def test_what_a_full_queue_cannot_take_is_counted(queue, tmp_path):
    queue, busy, done = queue(3 * len(DATA)), threading.Event(), threading.Event()
    queue.call(lambda writer: (busy.set(), done.wait(20)))  # a disk that takes its time
    assert busy.wait(20)
    for time in range(5):
        queue.put("/a", time, DATA)
    assert queue.waiting_bytes == 3 * len(DATA) and queue.counts["/a"].dropped == 2
    done.set()
    queue.close()
    assert log_times(tmp_path / "bag") == [0, 1, 2]


def test_a_quiet_bag_is_flushed(queue, tmp_path, monkeypatch):
    monkeypatch.setattr(bag_queue, "FLUSH_S", 0.05)
    queue, flushed = queue(), threading.Event()
    flush = queue._writer.flush
    monkeypatch.setattr(queue._writer, "flush", lambda: (flush(), flushed.set()))
    queue.put("/a", 7, DATA)
    assert flushed.wait(20)
    assert log_times(tmp_path / "bag" / "bag.mcap") == [7]
    queue.close()


FULL_DISK = """
import os, resource, sys
from jepa_ros.data.bag_queue import BagQueue
from jepa_ros.data.bag_writer import BagWriter
from jepa_ros.errors import JepaError
resource.setrlimit(resource.RLIMIT_FSIZE, (5_000_000, resource.RLIM_INFINITY))
queue = BagQueue(BagWriter(sys.argv[1], {}, live=True), 10**9)
queue.add_topic("/a", "std_msgs/msg/UInt8MultiArray", [])
for time in range(16):
    queue.put("/a", time, os.urandom(1_000_000))
try:
    queue.close()
except JepaError as error:
    sys.exit(str(error))
"""


def test_a_full_disk_is_told_and_costs_only_what_did_not_fit(tmp_path):
    process = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path / "bag")], capture_output=True, text=True, timeout=60
    )
    assert process.returncode == 1 and "Traceback" not in process.stderr, process.stderr
    assert "cannot write /a" in process.stderr and "written before is kept" in process.stderr
    assert len(log_times(tmp_path / "bag")) >= 3


def test_a_bug_in_the_thread_is_raised_at_close(queue):
    queue = queue()
    queue.call(lambda writer: 1 / 0)
    with pytest.raises(JepaError, match="ZeroDivisionError"):
        queue.close()

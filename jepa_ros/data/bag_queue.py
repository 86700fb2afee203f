"""One thread that writes a bag, so that whoever receives messages never waits for the disk."""

import math
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from jepa_ros.data.bag_writer import BagWriter
from jepa_ros.errors import JepaError

FLUSH_S = 1.0
"""How much a crash may cost."""
_END = object()


@dataclass
class TopicCount:
    """messages, size: written, in bytes.  dropped: where the queue was full.  lost: before they came here.
    first_ns, last_ns: log times."""

    messages: int = 0
    size: int = 0
    dropped: int = 0
    lost: int = 0
    first_ns: int = 0
    last_ns: int = 0

    @property
    def rate_hz(self) -> float:
        """Messages per second between the first and the last; 0 where there are not two."""
        seconds = 1e-9 * (self.last_ns - self.first_ns)
        return (self.messages - 1) / seconds if seconds > 0 else 0.0


class BagQueue:
    """Messages in, in any thread; a thread writes them to the bag and flushes it every FLUSH_S.

    counts: topic to TopicCount.  failure: what ended the writing before its time, or None; messages are
    dropped from then on.
    """

    def __init__(self, writer: BagWriter, limit_bytes: int):
        self.counts: dict[str, TopicCount] = {}
        self.failure: JepaError | None = None
        self._writer, self._limit = writer, limit_bytes
        self._changed = threading.Condition()
        self._waiting: deque = deque()
        self._size, self._open = 0, True
        self._thread = threading.Thread(target=self._run, name="bag_writer", daemon=True)
        self._thread.start()

    @property
    def waiting_bytes(self) -> int:
        """Size of what waits to be written."""
        return self._size

    def put(self, topic: str, log_ns: int, data: bytes) -> None:
        """Queue a message of a declared topic; dropped, and counted, where the queue is full."""
        count = self.counts[topic]
        with self._changed:
            if self._size + len(data) > self._limit or self.failure or not self._open:
                count.dropped += 1
                return
            self._size += len(data)
            self._waiting.append((topic, log_ns, data))
            self._changed.notify()

    def add_topic(self, topic: str, kind: str, qos) -> None:
        """Declare a topic, of a type that the writer knows; messages may follow at once."""
        self.counts.setdefault(topic, TopicCount())
        self.call(lambda writer: writer.add_topic(topic, kind, qos))

    def call(self, action: Callable[[BagWriter], object]) -> None:
        """Let the thread do something with the writer, after what is queued already."""
        with self._changed:
            self._waiting.append(action)
            self._changed.notify()

    def close(self) -> None:
        """Write what is queued and finish the bag. JepaError where something could not be written."""
        with self._changed:
            self._open = False
            self._changed.notify()
        self._thread.join()
        try:
            self._writer.close()
        except JepaError as error:
            self.failure = self.failure or error
        if self.failure is not None:
            raise JepaError(f"{self.failure}; what was written before is kept") from self.failure

    def _run(self) -> None:
        flush_at = math.inf
        try:
            while (item := self._next(flush_at)) is not _END:
                if item is not None:
                    self._write(item)
                    flush_at = min(flush_at, time.monotonic() + FLUSH_S)
                if time.monotonic() >= flush_at:
                    self._writer.flush()
                    flush_at = math.inf
        except Exception as error:
            known = isinstance(error, JepaError)
            self.failure = error if known else JepaError(f"{self._writer.path}: {error!r}")

    def _next(self, until: float):
        """What waits longest; None at the time ``until``, _END once all is written after close()."""
        with self._changed:
            timeout = None if until == math.inf else max(0.0, until - time.monotonic())
            self._changed.wait_for(lambda: self._waiting or not self._open, timeout)
            if not self._waiting:
                return None if self._open else _END
            item = self._waiting.popleft()
            if not callable(item):
                self._size -= len(item[-1])
            return item

    def _write(self, item) -> None:
        if callable(item):
            item(self._writer)
            return
        topic, log_ns, data = item
        self._writer.write_raw(topic, log_ns, data)
        count = self.counts[topic]
        count.messages, count.size = count.messages + 1, count.size + len(data)
        count.first_ns, count.last_ns = count.first_ns or log_ns, log_ns

"""One thread that computes on the newest input, so that callbacks need only store."""

import threading
from collections.abc import Callable


class LatestWorker:
    """Calls ``compute(kind, item)`` in its own thread for the newest item of every kind.

    An item that is replaced before its turn is never computed: a slow consumer lags by one item, not by a
    queue. kinds: earlier ones go first.  on_error: called with the exception that ``compute`` raised; the
    thread goes on.
    """

    def __init__(
        self,
        name: str,
        compute: Callable[[str, object], None],
        on_error: Callable[[Exception], None],
        kinds: tuple[str, ...] = ("item",),
    ):
        self._name, self._compute, self._on_error, self._kinds = name, compute, on_error, kinds
        self._condition = threading.Condition()
        self._slots: dict[str, object] = {}
        self._thread: threading.Thread | None = None
        self._running = False
        self.replaced = 0

    def offer(self, item: object, kind: str | None = None) -> None:
        """Store an item; it replaces the one of its kind that still waits."""
        kind = kind or self._kinds[0]
        with self._condition:
            self.replaced += kind in self._slots
            self._slots[kind] = item
            self._condition.notify()

    def start(self) -> None:
        """Begin to compute; what was offered before is forgotten."""
        with self._condition:
            self._slots.clear()
            self._running = True
        self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
        self._thread.start()

    def stop(self, timeout_s: float = 5.0) -> None:
        """Finish the item at hand and end the thread."""
        with self._condition:
            self._running = False
            self._condition.notify()
        if self._thread is not None:
            self._thread.join(timeout_s)

    def _run(self) -> None:
        while True:
            with self._condition:
                self._condition.wait_for(lambda: self._slots or not self._running)
                if not self._running:
                    return
                kind = next(k for k in self._kinds if k in self._slots)
                item = self._slots.pop(kind)
            try:
                self._compute(kind, item)
            except Exception as error:  # the thread outlives a bad item
                self._on_error(error)

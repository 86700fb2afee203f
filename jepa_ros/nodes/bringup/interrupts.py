"""Ends that stop the processes of a graph too. No ROS import here."""

import signal
from contextlib import contextmanager


@contextmanager
def interruptible():
    """A request to terminate and a closed terminal are treated as a Ctrl-C, so that they stop the graph
    too; under nohup a closed terminal goes on being ignored."""
    wanted = [s for s in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(s) != signal.SIG_IGN]

    def interrupt(signum, frame):
        for s in wanted:  # kernel and shell both tell of a closed terminal; once is enough
            signal.signal(s, signal.SIG_IGN)
        raise KeyboardInterrupt

    before = {s: signal.signal(s, interrupt) for s in wanted}
    try:
        yield
    finally:
        for s, handler in before.items():
            signal.signal(s, handler)

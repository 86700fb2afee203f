"""Ends that stop the processes of a graph too. No ROS import here."""

import signal
from collections.abc import Callable, Iterable
from contextlib import contextmanager


@contextmanager
def handling(signals: Iterable[signal.Signals], handler: Callable | signal.Handlers):
    """Meanwhile ``handler`` takes the signals; afterwards what took them before does so again."""
    before = {signum: signal.signal(signum, handler) for signum in signals}
    try:
        yield
    finally:
        for signum, previous in before.items():
            signal.signal(signum, previous)


@contextmanager
def interruptible():
    """A request to terminate and a closed terminal are treated as a Ctrl-C, so that they stop the graph
    too; under nohup a closed terminal goes on being ignored."""
    wanted = [s for s in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(s) != signal.SIG_IGN]

    def interrupt(signum, frame):
        for s in wanted:  # kernel and shell both tell of a closed terminal; once is enough
            signal.signal(s, signal.SIG_IGN)
        raise KeyboardInterrupt

    with handling(wanted, interrupt):
        yield

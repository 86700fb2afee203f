"""One line on a terminal that is written over, and words that stand between; all on standard error."""

import os
import sys


class StatusLine:
    """``show`` shows nothing where standard error is no terminal."""

    def __init__(self):
        self._live = sys.stderr.isatty()

    def say(self, text: str) -> None:
        """A line that stays."""
        print(("\r\x1b[2K" if self._live else "") + text, file=sys.stderr, flush=True)

    def show(self, *parts: str) -> None:
        """The line that is written over."""
        if self._live:
            width = max(40, os.get_terminal_size(sys.stderr.fileno()).columns - 1)
            print(f"\r\x1b[2K{' | '.join(parts)[:width]}", end="", file=sys.stderr, flush=True)

    def end(self) -> None:
        """Leave the line standing."""
        if self._live:
            print(file=sys.stderr, flush=True)

"""One line on a terminal that is written over, and words that stand between; all on standard error."""

import os
import sys
from typing import TextIO


def columns(stream: TextIO) -> int:
    """How many characters a line of a terminal may have without breaking."""
    try:
        return max(40, os.get_terminal_size(stream.fileno()).columns - 1)
    except OSError:
        return 120


class StatusLine:
    """``show`` shows nothing where standard error is no terminal."""

    def __init__(self):
        self._live = sys.stderr.isatty()

    def say(self, text: str) -> None:
        """A line that stays."""
        self._print(("\r\x1b[2K" if self._live else "") + text + "\n")

    def show(self, *parts: str) -> None:
        """The line that is written over."""
        if self._live:
            self._print(f"\r\x1b[2K{' | '.join(parts)[: columns(sys.stderr)]}")

    def end(self) -> None:
        """Leave the line standing."""
        if self._live:
            self._print("\n")

    def _print(self, text: str) -> None:
        print(text, end="", file=sys.stderr, flush=True)

"""What several commands check before they begin."""

import argparse
import math
from contextlib import contextmanager

from jepa_ros.errors import JepaError


def require_positive(args: argparse.Namespace, *names: str, or_zero: bool = False) -> None:
    """JepaError for an option that is given and not positive and finite; or_zero: zero is taken, too."""
    for name in names:
        value = getattr(args, name)
        if value is not None and not (math.isfinite(value) and (value > 0 or (or_zero and value == 0))):
            least = "zero or positive" if or_zero else "positive"
            raise JepaError(f"--{name.replace('_', '-')} is {value:g}; it must be {least} and finite")


@contextmanager
def needs_ros(command: str):
    """For the imports of `jepa COMMAND` that need ROS 2: JepaError where it is not there, or not built."""
    try:
        yield
    except ImportError as error:
        raise JepaError(
            f"`jepa {command}` needs ROS 2 and the built workspace ({error}); run: make setup && . ./activate"
        ) from error

"""What a check found: how bad it is, where, what it is, and what to do. No ROS import here."""

from dataclasses import dataclass
from enum import IntEnum


class Level(IntEnum):
    """error: the run will not work, or not safely.  warn: it may work worse than it could."""

    OK = 0
    WARN = 1
    ERROR = 2


@dataclass(frozen=True)
class Finding:
    """check: which kind of check, such as "topics".  where: topic, joint, file or node.  do: empty where all is well."""

    level: Level
    check: str
    where: str
    what: str
    do: str = ""

    def to_dict(self) -> dict:
        """A JSON-serialisable dict."""
        return {
            "level": self.level.name.lower(),
            "check": self.check,
            "where": self.where,
            "what": self.what,
            "do": self.do,
        }


class Findings(list):
    """Findings of one kind of check."""

    def __init__(self, check: str):
        super().__init__()
        self.check = check

    def ok(self, where: str, what: str) -> None:
        """All is well with ``where``."""
        self.append(Finding(Level.OK, self.check, where, what))

    def warn(self, where: str, what: str, do: str) -> None:
        """It may work worse than it could."""
        self.append(Finding(Level.WARN, self.check, where, what, do))

    def error(self, where: str, what: str, do: str) -> None:
        """The run will not work, or not safely."""
        self.append(Finding(Level.ERROR, self.check, where, what, do))

"""What a benchmark was asked, and what its result file says of its making: the command without paths of this machine, the
date, versions, the processor."""

import json
import re
import shlex
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from jepa_ros.cli.main import package_version
from jepa_ros.errors import JepaError
from jepa_ros.evaluation import provenance
from jepa_ros.planning.config import PlannerConfig
from jepa_ros.world_model.trust import WEIGHTS, file_sha256, model_id_of

_FOLDERS = re.compile(r"(^|[\s=,])/(?:[^\s/,=]+/)*")
"""What comes before the last part of an absolute path."""


def planner_config(words: Sequence[str], **settings) -> PlannerConfig:
    """The planner's own settings with these, and then with `KEY=VALUE` words, in their place."""
    given = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals:
            raise JepaError(f"--set {word}: write KEY=VALUE, as in iterations=2")
        try:
            given[name] = json.loads(value)
        except ValueError:
            given[name] = value
    return PlannerConfig.from_dict(settings | given)


def model_id(checkpoint: Path) -> str:
    """Of its weights, which are not read into a model."""
    return model_id_of(file_sha256(checkpoint / WEIGHTS))


def command_line(script: str, argv: list[str] | None) -> str:
    """As it was given (None: to this process); of an absolute path its last part."""
    words = sys.argv[1:] if argv is None else argv
    return shlex.join(["python", script, *(_FOLDERS.sub(r"\1", word) for word in words)])


def one_or_all(values: Iterable[str]) -> str | list[str]:
    """What all of them are; where they differ, each of them once."""
    found = sorted(set(values))
    return found[0] if len(found) == 1 else found


def origin(command: str) -> dict:
    """Beside the figures; no host name, no path."""
    machine = {key: value for key, value in provenance.machine().items() if key != "system"}
    return {
        "command": command,
        "date": provenance.today(),
        "version": package_version(),
        "commit": provenance.source_commit(),
        "libraries": provenance.libraries(),
        "machine": machine,
    }

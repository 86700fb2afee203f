"""Which topics are recorded: the YAML of `jepa record` and record.launch.py. No ROS import here."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from pathlib import Path

import yaml

from jepa_ros.data.topics import absolute
from jepa_ros.errors import JepaError
from jepa_ros.nodes.bringup.graph import find

_NAME = re.compile(r"/?[A-Za-z_]\w*(/[A-Za-z_]\w*)*")
_TYPE = re.compile(r"[a-z]\w*/msg/[A-Z]\w*")


@dataclass(frozen=True)
class RecordTopic:
    """topic: relative to the namespace, or absolute.  type: what is expected, such as
    "sensor_msgs/msg/Image"; empty takes what is published.  unless: another topic; this one is left out where
    that is published.  note: for the reader of the file.
    """

    topic: str
    type: str = ""
    unless: str = ""
    note: str = ""

    def __post_init__(self):
        for name in (self.topic, self.unless or self.topic):
            if not _NAME.fullmatch(name):
                raise JepaError(f"topic {name!r} is not a topic's name, such as joint_states or /clock")
        if self.type and not _TYPE.fullmatch(self.type):
            raise JepaError(
                f"topic {self.topic}: type {self.type!r}; expected one like sensor_msgs/msg/Image"
            )


def read_record_topics(path: str | Path | None = None) -> list[RecordTopic]:
    """The entries of a file; None is config/record_topics.yaml. JepaError names the file and the entry."""
    path = Path(path) if path else find("config/record_topics.yaml")
    try:
        content = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise JepaError(f"topics file {path}: cannot be read as YAML ({error})") from error
    if not isinstance(content, dict) or set(content) != {"topics"} or not isinstance(content["topics"], list):
        raise JepaError(f"topics file {path}: expected one key, topics, with a list of entries")
    known = {field.name for field in fields(RecordTopic)}
    entries = []
    for number, entry in enumerate(content["topics"], 1):
        where = f"topics file {path}, entry {number}"
        if not isinstance(entry, dict) or "topic" not in entry:
            raise JepaError(f"{where}: {entry!r}; expected a map with the key topic")
        if set(entry) - known:
            raise JepaError(
                f"{where}: unknown keys {sorted(map(str, set(entry) - known))}; known: {sorted(known)}"
            )
        try:
            entries.append(RecordTopic(**{key: str(value) for key, value in entry.items()}))
        except JepaError as error:
            raise JepaError(f"{where}: {error}") from None
    return entries


def resolve(topics: Iterable[RecordTopic], namespace: str) -> list[RecordTopic]:
    """The same with absolute names, each once; the first of a name counts."""
    resolved: dict[str, RecordTopic] = {}
    for entry in topics:
        unless = entry.unless and absolute(entry.unless, namespace)
        entry = replace(entry, topic=absolute(entry.topic, namespace), unless=unless)
        resolved.setdefault(entry.topic, entry)
    return list(resolved.values())

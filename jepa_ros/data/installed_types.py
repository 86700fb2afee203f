"""Message types of other packages, from the .msg files that an installed ROS 2 keeps in its share folders."""

import os
from pathlib import Path

from rosbags.typesys import TypesysError, get_types_from_msg

from jepa_ros.data.messages import typestore


def knows(kind: str) -> bool:
    """Whether messages of a type such as "sensor_msgs/msg/Image" can be written to a bag.

    A type that neither ROS 2 Jazzy nor this package has is read from AMENT_PREFIX_PATH into the typestore, with
    everything that it consists of.
    """
    store, found, wanted = typestore(), {}, [kind]
    while wanted:
        name = wanted.pop()
        if name in store.fielddefs or name in found:
            continue
        file = _definition(name)
        if file is None:
            return False
        try:
            found |= get_types_from_msg(file.read_text(), name)
        except (OSError, UnicodeDecodeError, TypesysError):
            return False
        wanted += _parts(found[name][1])
    store.register(found)
    return True


def _definition(name: str) -> Path | None:
    package, *rest = name.split("/")
    if len(rest) != 2 or rest[0] != "msg":
        return None
    prefixes = filter(None, os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep))
    files = (Path(prefix) / "share" / package / "msg" / f"{rest[1]}.msg" for prefix in prefixes)
    return next((file for file in files if file.is_file()), None)


def _parts(fields) -> list[str]:
    """The names of the message types in a message's fields, also within arrays."""
    names = []
    for _, (_, inner) in fields:
        while isinstance(inner, tuple) and isinstance(inner[0], tuple):
            inner = inner[0][1]
        if isinstance(inner, str):
            names.append(inner)
    return names

"""ROS 2 message types for bags, without ROS: the Jazzy types of rosbags and this package's own msg/ files."""

import os
from functools import cache
from pathlib import Path

from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

PACKAGE = "jepa_ros"


@cache
def typestore() -> Typestore:
    """Every ROS 2 Jazzy type, and jepa_ros/msg/* where the package's msg folder is found."""
    return build_typestore(own_types())


def build_typestore(types: dict) -> Typestore:
    """Every ROS 2 Jazzy type, and ``types`` (parsed definitions by name) that are not among them."""
    store = get_typestore(Stores.ROS2_JAZZY)
    store.register({name: fields for name, fields in types.items() if name not in store.fielddefs})
    return store


@cache
def own_types() -> dict:
    """The parsed definitions of jepa_ros/msg/*; {} where the package's msg folder is not found."""
    folder, types = find_message_folder(), {}
    for file in sorted(folder.glob("*.msg")) if folder is not None else ():
        types.update(get_types_from_msg(file.read_text(), f"{PACKAGE}/msg/{file.stem}"))
    return types


def find_message_folder() -> Path | None:
    """msg/ of the source tree, or share/jepa_ros/msg of an installation; None where there is neither."""
    package = Path(__file__).resolve().parents[1]
    prefixes = os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep)
    candidates = [package.parent / "msg"]
    candidates += [parent / "share" / PACKAGE / "msg" for parent in package.parents]
    candidates += [Path(prefix) / "share" / PACKAGE / "msg" for prefix in prefixes if prefix]
    return next((c for c in candidates if (c / "Tensor.msg").is_file()), None)


def message_class(type_name: str) -> type:
    """The dataclass of a type, e.g. message_class("sensor_msgs/msg/Image")."""
    return typestore().types[type_name]


def serialize(message) -> memoryview:
    """CDR bytes of a message made from message_class."""
    return typestore().serialize_cdr(message, message.__msgtype__)


def deserialize(data: bytes, type_name: str):
    """The message in CDR bytes."""
    return typestore().deserialize_cdr(data, type_name)


def make_time(nanoseconds: int):
    """builtin_interfaces/Time of an integer number of nanoseconds."""
    seconds, rest = divmod(int(nanoseconds), 10**9)
    return message_class("builtin_interfaces/msg/Time")(sec=seconds, nanosec=rest)


def make_header(nanoseconds: int, frame_id: str = ""):
    """std_msgs/Header with this stamp."""
    return message_class("std_msgs/msg/Header")(stamp=make_time(nanoseconds), frame_id=frame_id)

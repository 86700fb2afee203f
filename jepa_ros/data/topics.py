"""Full names of topics, and which topic of a bag plays which role: by type and end of name, or told in YAML."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path

import yaml

from jepa_ros.errors import JepaError

IMAGE = "sensor_msgs/msg/Image"
COMPRESSED = "sensor_msgs/msg/CompressedImage"
JOINT_STATE = "sensor_msgs/msg/JointState"
TRAJECTORY = "trajectory_msgs/msg/JointTrajectory"
IMAGE_NAMES = ("image", "image_raw", "image_color", "image_rect", "image_rect_color")

ROLES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {  # role: (types, ends of name)
    "image": (
        (IMAGE, COMPRESSED),
        (*IMAGE_NAMES, *(f"{name}/compressed" for name in IMAGE_NAMES)),
    ),
    "joint_states": ((JOINT_STATE,), ("joint_states",)),
    "command": ((TRAJECTORY,), ("joint_trajectory",)),
    "camera_info": (("sensor_msgs/msg/CameraInfo",), ("camera_info",)),
    "embedding": (("jepa_ros/msg/Embedding",), ("embedding",)),
    "goal": (("jepa_ros/msg/Goal",), ("goal",)),
    "plan": (("jepa_ros/msg/ActionPlan",), ("plan",)),
    "planner_status": (("jepa_ros/msg/PlannerStatus",), ("planner/status",)),
    "safety_status": (("jepa_ros/msg/SafetyStatus",), ("safety_status",)),
    "tf": (("tf2_msgs/msg/TFMessage",), ("tf",)),
    "tf_static": (("tf2_msgs/msg/TFMessage",), ("tf_static",)),
    "episode_marker": ((), ("episode_marker",)),
}
RECORDED = "recorded"
"""Where `jepa replay` puts what the robot's graph had published; looked at only where asked for by name."""


def base_of(namespace: str) -> str:
    """A namespace as its names begin: with a slash before it and none after; "" for the root."""
    return f"/{namespace.strip('/')}".rstrip("/")


def absolute(name: str, namespace: str) -> str:
    """The full name of a topic, node or service in a namespace; absolute names stay."""
    return name if name.startswith("/") else f"{base_of(namespace)}/{name}"


class TopicProblem(JepaError):
    """A role that no topic can play. topic: the topic, or the role where there is none."""

    def __init__(self, topic: str, text: str):
        super().__init__(f"{topic}: {text}")
        self.topic, self.text = topic, text


@dataclass(frozen=True)
class Topics:
    """Full topic names by role; None finds the topic by its type and the end of its name (see ROLES).

    base_frame, tip_frame: frames of tf whose distance is the end effector's position; None: not by tf.
    stale_s: role ("image", "joint_states") to the s that an item may be older than its frame.
    """

    image: str | None = None
    joint_states: str | None = None
    command: str | None = None
    camera_info: str | None = None
    embedding: str | None = None
    goal: str | None = None
    plan: str | None = None
    planner_status: str | None = None
    safety_status: str | None = None
    tf: str | None = None
    tf_static: str | None = None
    episode_marker: str | None = None
    base_frame: str | None = None
    tip_frame: str | None = None
    stale_s: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def from_yaml(cls, path: str | Path) -> "Topics":
        """Read ``role: /topic`` lines; JepaError names the file, unknown keys and wrong values."""
        try:
            content = yaml.safe_load(Path(path).read_text())
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise JepaError(f"topics file {path}: cannot be read as YAML ({error})") from error
        known = [f.name for f in fields(cls)]
        if not isinstance(content, dict) or set(content) - set(known):
            unknown = sorted(set(content) - set(known)) if isinstance(content, dict) else content
            raise JepaError(f"topics file {path}: unknown keys {unknown}; known: {', '.join(known)}")
        for key, value in content.items():
            if key == "stale_s":
                ages = value.values() if isinstance(value, dict) else [None]
                good = all(isinstance(age, (int, float)) and age > 0 for age in ages)
                good = good and set(value) <= {"image", "joint_states"}
            else:
                good = value is None or isinstance(value, str)
            if not good:
                raise JepaError(
                    f"topics file {path}: {key} is {value!r}; expected "
                    + ("image and joint_states with seconds" if key == "stale_s" else "a name")
                )
        return cls(**content)

    def find(self, role: str, connections: Sequence) -> list:
        """The connections that play a role, of one topic, with messages; [] where there is none.

        A raw image is preferred to a compressed one. TopicProblem where a name given has another type, or
        several topics match.
        """
        kinds, ends = ROLES[role]
        name = getattr(self, role)
        if name is None:
            found = [
                c for c in connections if (not kinds or c.msgtype in kinds) and _ends_with(c.topic, ends)
            ]
        else:
            found = [c for c in connections if c.topic == name]
            other = [c.msgtype for c in found if kinds and c.msgtype not in kinds]
            if other:
                raise TopicProblem(name, f"its type is {other[0]}; expected {' or '.join(kinds)}")
        filled = [c for c in found if c.msgcount]
        filled = [c for c in filled if c.msgtype == IMAGE] or filled
        names = list(dict.fromkeys(c.topic for c in filled))
        if len(names) > 1:
            raise TopicProblem(
                ROLES[role][1][0],
                f"several topics match: {', '.join(names)}; give the full name of one "
                f"({role} in a file for --topics)",
            )
        return filled

    def require(self, role: str, connections: Sequence) -> list:
        """As ``find``, for a role that must be played; TopicProblem says what the bag has instead."""
        filled = self.find(role, connections)
        if filled:
            return filled
        kinds, ends = ROLES[role]
        name = getattr(self, role)
        wants = f"{name or '.../' + ends[0]} ({' or '.join(kinds)})"
        empty = [
            c.topic
            for c in connections
            if c.topic == name or (name is None and c.msgtype in kinds and _ends_with(c.topic, ends))
        ]
        if empty:
            raise TopicProblem(
                empty[0], f"no messages in the bag; {wants} is needed, was it published while recording?"
            )
        have = ", ".join(f"{c.topic} ({c.msgtype})" for c in connections) or "nothing"
        raise TopicProblem(
            name or ends[0],
            f"missing; {wants} is needed. The bag holds: {have}. Record the topic, or give its full name",
        )


def _ends_with(topic: str, ends: tuple[str, ...]) -> bool:
    parts = topic.strip("/").split("/")
    return RECORDED not in parts[:-1] and any(
        parts[-len(words) :] == words for words in (end.split("/") for end in ends)
    )

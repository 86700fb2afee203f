"""Where every topic of a bag goes in a replay: sensors into the live graph, all else under recorded/.

No ROS import here.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rosbags.typesys import TypesysError, get_types_from_msg

from jepa_ros.data.bag_files import BagFile, find_bags
from jepa_ros.data.messages import own_types
from jepa_ros.data.topics import (
    COMPRESSED,
    IMAGE,
    JOINT_STATE,
    RECORDED,
    TRAJECTORY,
    TopicProblem,
    Topics,
    absolute,
    base_of,
)
from jepa_ros.errors import JepaError
from jepa_ros.nodes.bags.old_goals import GOAL, is_old_goal

CLOCK = "rosgraph_msgs/msg/Clock"
_TF = "tf2_msgs/msg/TFMessage"
LIVE = {
    "image": IMAGE,
    "image/compressed": COMPRESSED,
    "camera_info": "sensor_msgs/msg/CameraInfo",
    "joint_states": JOINT_STATE,
    "goal": GOAL,
    "goal_image": IMAGE,
    "/tf": _TF,
    "/tf_static": _TF,
    "/clock": CLOCK,
}
"""All that a replay may publish outside recorded/: topic (in the namespace, or absolute) to type."""
ROBOT_COMMANDS = (
    TRAJECTORY,
    "std_msgs/msg/Float64MultiArray",
    "geometry_msgs/msg/Twist",
    "geometry_msgs/msg/TwistStamped",
)
COMMAND_TYPES = (*ROBOT_COMMANDS, "jepa_ros/msg/ActionPlan")
COMMAND_TOPICS = ("joint_trajectory", "commands", "twist_cmds")
"""In the namespace: what a robot listens to."""
_OPTIONAL = ("camera_info", "tf", "tf_static", "goal")


@dataclass(frozen=True)
class Route:
    """source: a topic of the bag.  target: where it is played.  latched: late subscribers get it, too.
    old: its goals lack a field of today, which is added.
    """

    source: str
    target: str
    msgtype: str
    latched: bool = False
    old: bool = False


@dataclass(frozen=True)
class Routes:
    """routes: of every topic that is played.  clock: the bag's own /clock, "" without one.
    image, joint_states: sources, "" where the bag lacks them.  command_topics: what a robot may listen to, in
    the namespace and by the names recorded.  notes: what the user should know.
    """

    routes: tuple[Route, ...]
    clock: str
    image: str
    joint_states: str
    command_topics: tuple[str, ...]
    notes: tuple[str, ...]


def open_bag(path: str | Path) -> BagFile:
    """The bag at or under a path; JepaError where there is not exactly one."""
    bags = find_bags(path)
    if len(bags) > 1:
        raise JepaError(f"{path}: holds {len(bags)} bags; give one, such as {bags[0]}")
    return BagFile(bags[0])


def image_transport(bag: str | Path, topics: Topics) -> str:
    """What the encoder has to read in a replay of the bag: "raw" or "compressed"."""
    with open_bag(bag) as file:
        found = topics.find("image", file.connections)
    return "compressed" if found and found[0].msgtype == COMPRESSED else "raw"


def require_harmless(topic: str, msgtype: str, namespace: str) -> None:
    """The check before a publisher is made: outside recorded/ there is LIVE only, and never a command."""
    if topic.startswith(absolute(f"{RECORDED}/", namespace)):
        return
    allowed = {absolute(name, namespace): kind for name, kind in LIVE.items()}
    if msgtype in COMMAND_TYPES or allowed.get(topic) != msgtype:
        raise JepaError(
            f"{topic} ({msgtype}): a replay publishes this under {absolute(RECORDED, namespace)}/ only"
        )


def find_routes(
    connections: Sequence,
    topics: Topics,
    namespace: str = "jepa",
    recorded_namespace: str = "",
    goal: bool = True,
) -> Routes:
    """connections: of a BagFile.  topics: which topic plays which role.  goal: play the recorded goal.
    recorded_namespace: of the graph that was recorded, left out of the names under recorded/; "" is that of
    its joint states.

    JepaError (TopicProblem) where several topics may be the camera's or the joints', or there is neither.
    """
    kinds = {c.topic: c.msgtype for c in reversed(connections) if c.msgcount}
    sources, notes = _sources(connections, topics)
    if not sources["image"] and not sources["joint_states"]:
        topics.require("image", connections)  # says what the bag holds instead
        topics.require("joint_states", connections)
    for role, missed in (("image", "the encoder will see nothing"), ("joint_states", "no plan can be made")):
        if not sources[role]:
            notes.append(f"the bag has no {role} of a type and name that are known: {missed}")
    if not goal:
        sources["goal"] = ""
    live = {}
    for role, source in sources.items():
        if source:
            compressed = role == "image" and kinds[source] == COMPRESSED
            name = {"tf": "/tf", "tf_static": "/tf_static"}.get(role, role)
            live[source] = "image/compressed" if compressed else name
    if f"{sources['image']}/compressed" in kinds:  # the same camera, recorded both ways
        live[f"{sources['image']}/compressed"] = "image/compressed"
    clock = next((topic for topic, kind in kinds.items() if kind == CLOCK), "")
    recorded_namespace = recorded_namespace or sources["joint_states"].rpartition("/")[0]
    names = _recorded_names([t for t in kinds if t not in live and kinds[t] != CLOCK], recorded_namespace)
    routes = []
    for connection in {c.topic: c for c in reversed(connections) if c.msgcount}.values():
        source, kind = connection.topic, connection.msgtype
        if kind == CLOCK:
            continue
        target = absolute(live.get(source) or f"{RECORDED}/{names[source]}", namespace)
        latched = live.get(source) in ("goal", "/tf_static") or _is_latched(connection)
        old = is_old_goal(kind, connection.definition)
        if old or _of_this_version(connection):
            routes.append(Route(source, target, kind, latched, old))
            continue
        notes.append(f"{source} is left out: recorded with another version of {kind}")
        if live.get(source) == "goal":
            notes.append(
                f"{source}: nothing is pursued without it; give --goal-image, or record the run anew"
            )
    commands = [absolute(name, namespace) for name in COMMAND_TOPICS]
    commands += [topics.command] if topics.command else []
    commands += [t for t, kind in kinds.items() if kind in ROBOT_COMMANDS and RECORDED not in t.split("/")]
    played = {route.source for route in routes}
    return Routes(
        tuple(sorted(routes, key=lambda route: route.target)),
        clock,
        *(sources[role] if sources[role] in played else "" for role in ("image", "joint_states")),
        tuple(dict.fromkeys(commands)),
        tuple(notes),
    )


def _sources(connections: Sequence, topics: Topics) -> tuple[dict[str, str], list[str]]:
    """Role to the topic that plays it, "" where none does; and what is left out, in words."""
    sources, notes = {}, []
    for role in ("image", "joint_states"):
        found = (topics.require if getattr(topics, role) else topics.find)(role, connections)
        sources[role] = found[0].topic if found else ""
    # Where there are several: the camera_info of this camera, the tf of everyone.
    beside = sources["image"].removesuffix("/compressed").rpartition("/")[0]
    preferred = {"camera_info": f"{beside}/camera_info", "tf": "/tf", "tf_static": "/tf_static"}
    there = {c.topic for c in connections}
    for role in _OPTIONAL:
        if getattr(topics, role):
            sources[role] = topics.require(role, connections)[0].topic
            continue
        asked = replace(topics, **{role: preferred[role]}) if preferred.get(role) in there else topics
        try:
            found = asked.find(role, connections)
        except TopicProblem as problem:
            found = []
            notes.append(f"{problem}; until then they are played under {RECORDED}/ only")
        sources[role] = found[0].topic if found else ""
    return sources, notes


def _recorded_names(topics: Sequence[str], namespace: str) -> dict[str, str]:
    """Topic to its name under recorded/: without the namespace, but where that would make two the same."""
    base = f"{base_of(namespace)}/"
    short = {topic: topic.removeprefix(base).lstrip("/") for topic in topics}
    names = list(short.values())
    return {topic: name if names.count(name) == 1 else topic.lstrip("/") for topic, name in short.items()}


def _is_latched(connection) -> bool:
    return bool(connection.qos) and all(q.durability.name == "TRANSIENT_LOCAL" for q in connection.qos)


def _of_this_version(connection) -> bool:
    """Whether the bag's definition of a type of this package is the one that is installed."""
    own = own_types()
    if connection.msgtype not in own or not connection.definition:
        return True
    try:
        types = get_types_from_msg(connection.definition, connection.msgtype)
    except TypesysError:
        return False
    return all(own.get(name) == fields for name, fields in types.items() if name in own)

"""One bag as the world model needs it: streams of joints and commands, images on demand, what the graph had said.

Reading passes over the file twice, in little memory: once for everything but pixels, once for the images that are used.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np

from jepa_ros.data.action_spec import ActionSpec
from jepa_ros.data.bag_files import BagFile, RawMessage
from jepa_ros.data.boundaries import episode_cuts
from jepa_ros.data.cdr import header_stamp_ns
from jepa_ros.data.images import decode_message, resize
from jepa_ros.data.joint_order import JointOrder
from jepa_ros.data.load_report import Problem
from jepa_ros.data.resample import Command, Frames, Streams, resample
from jepa_ros.data.stamps import nanoseconds, stamp_ns
from jepa_ros.data.tensors import tensor_array
from jepa_ros.data.topics import COMPRESSED, TopicProblem, Topics
from jepa_ros.data.transforms import end_effector
from jepa_ros.errors import JepaError

_OPTIONAL = (
    "embedding",
    "goal",
    "plan",
    "planner_status",
    "safety_status",
    "tf",
    "tf_static",
    "episode_marker",
)
_CHANGED = "the bag is not as it was when it was read first; is it still being recorded?"
_ALL_DAMAGED = "its messages are all in the damaged part of the bag"
LARGEST_RAD = 1e4
"""No joint is turned farther; larger numbers are damage."""
Value = TypeVar("Value")


@dataclass(frozen=True)
class TopicLog:
    """When a topic's messages came. log_ns, stamp_ns: (n,) int64, stamp 0 without a header.  size_bytes: (n,)."""

    topic: str
    msgtype: str
    log_ns: np.ndarray
    stamp_ns: np.ndarray
    size_bytes: np.ndarray


@dataclass(frozen=True)
class RecordedGoal:
    """A goal that was published. latent: (D,) float32.  part_of: id of the goal that it is a sub-goal of, "" where it is
    none."""

    log_ns: int
    stamp_ns: int
    goal_id: str
    encoder_id: str
    latent: np.ndarray
    part_of: str = ""

    @property
    def pursuit(self) -> str:
        """Id of what the planner was asked for: a goal, with all of its sub-goals."""
        return self.part_of or self.goal_id


@dataclass(frozen=True)
class RecordedPlan:
    """A plan that was published. stamp_ns: of its image.  actions: (N, A) rad.  predicted: (D,) or empty.  proprio: (A,) rad,
    empty where it started from none, the bag is from before plans told theirs, or they are damaged."""

    log_ns: int
    stamp_ns: int
    plan_id: str
    goal_id: str
    model_id: str
    joint_names: tuple[str, ...]
    actions: np.ndarray
    predicted: np.ndarray
    expected_cost: float
    proprio: np.ndarray = field(default_factory=lambda: np.zeros(0))


@dataclass(frozen=True)
class RecordedEmbedding:
    """An image's latent (D,) float32 as the live encoder published it. encoded_ns: stamp of the image that has exactly
    this latent, which is an earlier one where the encoder skipped this image."""

    log_ns: int
    stamp_ns: int
    encoder_id: str
    latent: np.ndarray
    encoded_ns: int


@dataclass
class Recording:
    """A bag that can be used. Built by ``read_recording``.

    spec: the contract it is read by.  metadata: what its recorder wrote.  problems: what was found wrong.
    logs: every topic's.  streams: images' and joint states' stamps, joints, commands.
    topics: role to the topic that plays it.  markers_logged: ns, of episode markers.
    joint_orders: topic to every order of joint names that its messages had.
    boundaries: what begins an episode, see data/boundaries.py.
    statuses, safety: PlannerStatus and SafetyStatus messages with ``log_ns``, as dicts.
    image_formats: "encoding, width x height" to how many of the images that were read have it.
    """

    path: Path
    spec: ActionSpec
    metadata: dict
    topic_roles: Topics
    topics: dict[str, str]
    streams: Streams
    logs: dict[str, TopicLog] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    goals: list[RecordedGoal] = field(default_factory=list)
    plans: list[RecordedPlan] = field(default_factory=list)
    embeddings: list[RecordedEmbedding] = field(default_factory=list)
    statuses: list[dict] = field(default_factory=list)
    safety: list[dict] = field(default_factory=list)
    transforms: list[tuple] = field(default_factory=list)
    markers_logged: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    boundaries: Sequence[str] = ("gaps",)
    joint_orders: dict[str, list[tuple[str, ...]]] = field(default_factory=dict)
    image_formats: Counter = field(default_factory=Counter)
    _ordinals: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))

    def frames(self) -> list[Frames]:
        """Runs of frames at the spec's rate, in time order; a run may be a single frame."""
        cuts = episode_cuts(
            self.boundaries,
            goal_logs=[g.log_ns for g in self.goals],
            goal_ids=[g.pursuit for g in self.goals],
            marker_logs=self.markers_logged,
        )
        return resample(self.streams, self.spec, stale_s=self.topic_roles.stale_s, cuts=cuts)

    def read_frames(
        self, size: tuple[int, int], use: Callable[[np.ndarray], Value], min_frames: int = 1
    ) -> list[tuple[Frames, list[Value]]]:
        """Every run of at least min_frames frames with ``use(image)`` of its frames.

        size: (h, w) that images are brought to.  use: called with (h, w, 3) uint8 RGB, one at a time; only its
        values are kept. An image that cannot be decoded is dropped, and noted in ``problems``.
        """
        values: dict[int, Value] = {}
        dropped: list[tuple[int, str]] = []
        while True:
            runs = [r for r in self.frames() if len(r.stamps) >= min_frames]
            places = [self._ordinals[r.image_index] for r in runs]
            missing = np.setdiff1d(np.concatenate(places) if places else [], list(values)).astype(int)
            bad = []
            for ordinal, image in self._decode(missing, size):
                if isinstance(image, str):
                    bad.append((ordinal, image))
                else:
                    values[ordinal] = use(image)
            if not bad:
                break
            dropped += bad
            self._drop(ordinal for ordinal, _ in bad)
        if dropped:
            text = f"{len(dropped)} images left out: {dropped[0][1]}"
            if not runs and not values:
                raise TopicProblem(self.topics["image"], f"no image of it can be read: {dropped[0][1]}")
            self.note(self.topics["image"], text)
        return [(r, [values[i] for i in p]) for r, p in zip(runs, places, strict=True)]

    def images(
        self, indices: Sequence[int], size: tuple[int, int] | None
    ) -> Iterator[tuple[int, np.ndarray]]:
        """(index, (h, w, 3) uint8 RGB) of images by their index in ``streams``; those that cannot be decoded
        are left out. size: (h, w); None as recorded."""
        index = {int(self._ordinals[i]): int(i) for i in indices}
        for ordinal, image in self._decode(sorted(index), size):
            if not isinstance(image, str):
                yield index[ordinal], image

    def end_effector(self, frames: Frames) -> tuple[np.ndarray, str] | None:
        """((L, 3) m, "tf" or "kinematics") at the frames: by tf where the topics name its frames, else by the
        kinematics of the arm that this package knows; None for another arm. JepaError: tf lacks the frames."""
        base, tip = self.topic_roles.base_frame, self.topic_roles.tip_frame
        if base and tip:
            stamps, positions = end_effector(self.transforms, base, tip)
            at = frames.stamps - stamps[0] * 1e-9
            since = (stamps - stamps[0]) * 1e-9
            return np.stack([np.interp(at, since, axis) for axis in positions.T], axis=1), "tf"
        from jepa_ros.simulation.arm import JOINT_NAMES

        if tuple(self.spec.joint_names) != tuple(JOINT_NAMES):
            return None
        from jepa_ros.simulation.kinematics import ArmKinematics

        arm, positions = ArmKinematics(), np.empty((len(frames.stamps), 3))
        for row, joints in enumerate(frames.joint_positions):
            arm.move(joints)
            positions[row] = arm.end_effector
        return positions, "kinematics"

    def note(self, topic: str, text: str) -> None:
        """Add a problem that does not keep the bag from being used."""
        self.problems.append(Problem(self.path, topic, text, False))

    def _decode(
        self, ordinals: Sequence[int], size: tuple[int, int] | None
    ) -> Iterator[tuple[int, np.ndarray | str]]:
        """(ordinal among the bag's images, pixels or why there are none), ascending."""
        waiting, topic = sorted(map(int, ordinals), reverse=True), self.topics["image"]
        if not waiting:
            return
        logged = dict(zip(self._ordinals.tolist(), self.streams.image_logged.tolist(), strict=True))
        with BagFile(self.path) as bag:
            for ordinal, message in enumerate(bag.messages([topic])):
                if ordinal != waiting[-1]:
                    continue
                waiting.pop()
                try:
                    if message.log_ns != logged[ordinal]:
                        raise ValueError(_CHANGED)
                    msg = bag.deserialize(message)
                    image = decode_message(msg)
                    kind = msg.format if message.msgtype == COMPRESSED else msg.encoding
                    self.image_formats[f"{kind}, {image.shape[1]} x {image.shape[0]}"] += 1
                    yield ordinal, image if size is None else resize(image, size)
                except (JepaError, ValueError) as error:
                    yield ordinal, str(error)
                if not waiting:
                    return
        yield from ((ordinal, _CHANGED) for ordinal in reversed(waiting))

    def _drop(self, ordinals) -> None:
        keep = ~np.isin(self._ordinals, list(ordinals))
        self._ordinals = self._ordinals[keep]
        self.streams.image_logged = self.streams.image_logged[keep]
        self.streams.image_stamps = self.streams.image_stamps[keep]


def read_recording(
    path: str | Path,
    topics: Topics | None = None,
    spec: ActionSpec | None = None,
    boundaries: Sequence[str] = ("gaps",),
) -> Recording:
    """Read a bag, all but its pixels. spec: the contract to read by; None takes the one its recorder wrote.

    JepaError (TopicProblem for a topic) says why a bag cannot be used.
    """
    topics = topics or Topics()
    with BagFile(path) as bag:
        try:
            recording = _Pass(bag, topics, spec or _recorded_spec(bag)).run()
        except TopicProblem as problem:
            if not bag.damage:
                raise
            raise TopicProblem(
                problem.topic, f"{problem.text}. The bag: {'; '.join(bag.damage)}"
            ) from problem
    recording.boundaries = tuple(boundaries)
    return recording


def _recorded_spec(bag: BagFile) -> ActionSpec:
    if "action_spec" not in bag.metadata:
        raise JepaError(
            f"{bag.path}: the bag carries no ActionSpec; give the contract to read it by (a checkpoint's, or "
            "--action-spec FILE)"
        )
    return ActionSpec.from_dict(bag.metadata["action_spec"])


class _Pass:
    """The first pass over a bag."""

    def __init__(self, bag: BagFile, topics: Topics, spec: ActionSpec):
        self.bag, self.spec = bag, spec
        if "action_spec" in bag.metadata:
            _require_same_contract(spec, ActionSpec.from_dict(bag.metadata["action_spec"]))
        roles = {role: topics.require(role, bag.connections) for role in ("image", "joint_states", "command")}
        roles |= {role: topics.find(role, bag.connections) for role in _OPTIONAL}
        names = {role: found[0].topic for role, found in roles.items() if found}
        nothing = np.zeros(0, np.int64)
        self.recording = Recording(
            bag.path,
            spec,
            bag.metadata,
            topics,
            names,
            Streams(nothing, nothing, nothing, nothing, np.zeros((0, spec.dim)), []),
        )
        self._handlers = {
            names[role]: getattr(self, f"_on_{role}") for role in names if role != "image"
        }  # topic to what is done with its messages
        self._joint_order = JointOrder(spec)
        self._command_order = JointOrder(spec)
        self._joints: list[tuple[int, int, np.ndarray]] = []
        self._commands: list[Command] = []
        self._markers: list[int] = []
        self._not_finite, self._unreadable, self._disordered = Counter(), {}, 0

    def run(self) -> Recording:
        """Read, and complain about what is wrong."""
        rows: dict[str, list[tuple[int, int, int]]] = {}
        has_header = {c.topic: self.bag.starts_with_header(c.msgtype) for c in self.bag.connections}
        for message in self.bag.messages():
            stamp = header_stamp_ns(message.data) if has_header[message.topic] else 0
            rows.setdefault(message.topic, []).append((message.log_ns, stamp, len(message.data)))
            handler = self._handlers.get(message.topic)
            if handler is not None:
                try:
                    handler(message)
                except (ValueError, JepaError) as error:
                    self._unreadable.setdefault(message.topic, []).append(str(error))
                except (AttributeError, TypeError) as error:  # the bag brings a definition of its own
                    text = f"{message.msgtype} of another version: {error}"
                    self._unreadable.setdefault(message.topic, []).append(text)
        recording = self.recording
        kinds = {c.topic: c.msgtype for c in self.bag.connections}
        recording.logs = {
            topic: TopicLog(topic, kinds[topic], *np.array(values, np.int64).T)
            for topic, values in sorted(rows.items())
        }
        self._complain()
        self._make_streams()
        orders = {"joint_states": self._joint_order, "command": self._command_order}
        recording.joint_orders = {recording.topics[role]: list(o.orders) for role, o in orders.items()}
        recording.markers_logged = np.array(sorted(self._markers), np.int64)
        return recording

    # One for every role but the image. ValueError: the message is left out.

    def _on_joint_states(self, message: RawMessage) -> None:
        msg = self.bag.deserialize(message)
        values = self._joint_order.pick(msg.name, msg.position)
        if values is None:  # of another part of the robot
            return
        if _are_positions(values):
            self._joints.append((message.log_ns, stamp_ns(msg), values))
        else:
            self._not_finite[message.topic] += 1

    def _on_command(self, message: RawMessage) -> None:
        msg = self.bag.deserialize(message)
        points = [self._command_order.pick(msg.joint_names, p.positions) for p in msg.points]
        if not points:
            return
        if any(p is None for p in points):
            raise ValueError(self._command_order.complaint())
        if not _are_positions(points):
            self._not_finite[message.topic] += 1
            return
        times = np.array([p.time_from_start.sec + p.time_from_start.nanosec * 1e-9 for p in msg.points])
        if times[0] < 0 or np.any(np.diff(times) <= 0):
            self._disordered += 1
        else:
            self._commands.append(Command(message.log_ns, stamp_ns(msg), np.array(points), times))

    def _on_embedding(self, message: RawMessage) -> None:
        msg = self.bag.deserialize(message)
        latent = np.array(tensor_array(msg.latent)).reshape(-1)
        self.recording.embeddings.append(
            RecordedEmbedding(message.log_ns, stamp_ns(msg), msg.encoder_id, latent, _encoded_ns(msg))
        )

    def _on_goal(self, message: RawMessage) -> None:
        msg = self.bag.deserialize(message)
        latent = np.array(tensor_array(msg.embedding.latent)).reshape(-1)
        self.recording.goals.append(
            RecordedGoal(
                message.log_ns,
                stamp_ns(msg),
                msg.goal_id,
                msg.embedding.encoder_id,
                latent,
                getattr(msg, "part_of", ""),  # older bags know no sub-goals
            )
        )

    def _on_plan(self, message: RawMessage) -> None:
        msg = self.bag.deserialize(message)
        predicted = msg.predicted.latent
        proprio = np.array(getattr(msg, "proprio", ()), dtype=np.float64)  # older bags do not tell it
        if len(proprio) != len(msg.joint_names) or not _are_positions(proprio):
            proprio = np.zeros(0)
        self.recording.plans.append(
            RecordedPlan(
                message.log_ns,
                stamp_ns(msg),
                msg.plan_id,
                msg.goal_id,
                msg.model_id,
                tuple(msg.joint_names),
                np.array(tensor_array(msg.actions)),
                np.array(tensor_array(predicted)).reshape(-1) if predicted.dtype else np.zeros(0, np.float32),
                float(msg.expected_cost),
                proprio,
            )
        )

    def _on_planner_status(self, message: RawMessage) -> None:
        self.recording.statuses.append(_as_dict(self.bag.deserialize(message), message))

    def _on_safety_status(self, message: RawMessage) -> None:
        self.recording.safety.append(_as_dict(self.bag.deserialize(message), message))

    def _on_tf(self, message: RawMessage, static: bool = False) -> None:
        for transform in self.bag.deserialize(message).transforms:
            t, q = transform.transform.translation, transform.transform.rotation
            frames = transform.header.frame_id.lstrip("/"), transform.child_frame_id.lstrip("/")
            stamp = stamp_ns(transform)
            self.recording.transforms.append((stamp, *frames, (t.x, t.y, t.z), (q.x, q.y, q.z, q.w), static))

    def _on_tf_static(self, message: RawMessage) -> None:
        self._on_tf(message, static=True)

    def _on_episode_marker(self, message: RawMessage) -> None:
        self._markers.append(message.log_ns)

    def _complain(self) -> None:
        recording, names = self.recording, self.recording.topics
        if self.bag.damage:
            recording.note("", "; ".join(self.bag.damage))
        joints, command = names["joint_states"], names["command"]
        if not self._joints:
            if self._not_finite[joints]:
                text = "every joint position is NaN or Inf; check the driver that publishes it"
                raise TopicProblem(joints, text)
            if joints in self._unreadable:
                raise TopicProblem(joints, self._unreadable[joints][0])
            if joints not in recording.logs:
                raise TopicProblem(joints, _ALL_DAMAGED)
            raise TopicProblem(joints, self._joint_order.complaint())
        if not self._commands:
            if command in self._unreadable:
                raise TopicProblem(command, self._unreadable[command][0])
            if command not in recording.logs:
                raise TopicProblem(command, _ALL_DAMAGED)
            raise TopicProblem(command, "no trajectory with finite points; record while the arm is driven")
        for topic, count in self._not_finite.items():
            recording.note(topic, f"{count} messages with NaN or Inf left out")
        for topic, texts in self._unreadable.items():
            recording.note(topic, f"{len(texts)} messages left out: {texts[0]}")
        if self._disordered:
            text = f"{self._disordered} trajectories left out: their time_from_start does not increase"
            recording.note(command, text)

    def _make_streams(self) -> None:
        recording = self.recording
        images = recording.logs.get(recording.topics["image"])
        if images is None:
            raise TopicProblem(recording.topics["image"], _ALL_DAMAGED)
        order = np.argsort(images.log_ns, kind="stable")
        stamps = self._clock(recording.topics["image"], images.stamp_ns[order], images.log_ns[order])
        self._joints.sort(key=lambda row: row[0])
        logged = np.array([row[0] for row in self._joints], np.int64)
        joint_stamps = np.array([row[1] for row in self._joints], np.int64)
        recording.streams = Streams(
            images.log_ns[order],
            stamps,
            logged,
            self._clock(recording.topics["joint_states"], joint_stamps, logged),
            np.array([row[2] for row in self._joints]),
            sorted(self._commands, key=lambda c: c.logged),
        )
        recording._ordinals = order

    def _clock(self, topic: str, stamps: np.ndarray, logged: np.ndarray) -> np.ndarray:
        """The stamps; the times of recording where a driver leaves them 0."""
        if np.any(stamps):
            return stamps
        self.recording.note(
            topic, "its header stamps are all 0; the times of recording are used in their place"
        )
        return logged.copy()


def _are_positions(values) -> bool:
    """Whether they can be joint positions, in rad: NaN, Inf and what damaged bytes give are not."""
    return bool(np.all(np.abs(values) < LARGEST_RAD))  # false for NaN


def _encoded_ns(msg) -> int:
    """Of an Embedding; its own stamp where no other is told, as in older bags."""
    encoded = getattr(msg, "encoded_stamp", None)
    return (nanoseconds(encoded) if encoded is not None else 0) or stamp_ns(msg)


def _as_dict(msg, message: RawMessage) -> dict:
    """A flat message's fields, with log_ns and the header's stamp_ns."""
    values = {k: v for k, v in vars(msg).items() if k != "header" and not k.startswith("_")}
    return values | {"log_ns": message.log_ns, "stamp_ns": stamp_ns(msg)}


def _require_same_contract(ours: ActionSpec, theirs: ActionSpec) -> None:
    differing = [name for name in ours.differences(theirs) if name != "block"]
    if differing:
        sides = "; ".join(f"{n}: bag {getattr(theirs, n)}, wanted {getattr(ours, n)}" for n in differing)
        raise TopicProblem("", f"recorded with another ActionSpec ({sides}); read it apart from the others")

"""Reads a bag into a ``Recording``: one pass over everything but pixels, in little memory. Images are read afterwards, those
that are used."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from jepa_ros.data.action_spec import ActionSpec
from jepa_ros.data.bag_files import BagFile, RawMessage
from jepa_ros.data.cdr import header_stamp_ns
from jepa_ros.data.joint_order import JointOrder
from jepa_ros.data.recorded import RecordedEmbedding, RecordedGoal, RecordedPlan, TopicLog
from jepa_ros.data.recording import Recording
from jepa_ros.data.resample import Command, Streams
from jepa_ros.data.stamps import nanoseconds, stamp_ns
from jepa_ros.data.tensors import tensor_array
from jepa_ros.data.topics import TopicProblem, Topics
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
_ALL_DAMAGED = "its messages are all in the damaged part of the bag"
LARGEST_RAD = 1e4
"""No joint is turned farther; larger numbers are damage."""


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

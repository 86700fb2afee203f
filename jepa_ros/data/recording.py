"""One bag as the world model needs it: streams of joints and commands, images on demand, what the graph had said."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np

from jepa_ros.data.action_spec import ActionSpec
from jepa_ros.data.bag_files import BagFile
from jepa_ros.data.boundaries import episode_cuts
from jepa_ros.data.images import decode_message, resize
from jepa_ros.data.load_report import Problem
from jepa_ros.data.recorded import RecordedEmbedding, RecordedGoal, RecordedPlan, TopicLog
from jepa_ros.data.resample import Frames, Streams, resample
from jepa_ros.data.topics import COMPRESSED, TopicProblem, Topics
from jepa_ros.data.transforms import end_effector
from jepa_ros.errors import JepaError

_CHANGED = "the bag is not as it was when it was read first; is it still being recorded?"
Value = TypeVar("Value")


@dataclass
class Recording:
    """A bag that can be used. Built by ``recording_reader.read_recording``.

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

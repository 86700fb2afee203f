"""A small robot and bags of it, so that the data room is tested without a simulator."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from jepa_ros.data.action_spec import ActionSpec
from jepa_ros.data.bag_writer import BagWriter
from jepa_ros.data.images import encode_compressed
from jepa_ros.data.messages import make_header, message_class

sys.path.insert(0, str(Path(__file__).parent))  # for bag_shapes

SECOND = 10**9


@pytest.fixture
def spec() -> ActionSpec:
    """Three joints at 10 Hz."""
    return ActionSpec(
        ("pan", "lift", "wrist"), (-0.1,) * 3, (0.1,) * 3, (-2.0,) * 3, (2.0,) * 3, rate_hz=10.0, block=4
    )


@pytest.fixture
def walk():
    """(frames, seed) -> (frames, 3) targets, a bounded random walk from rest."""

    def make(frames: int = 30, seed: int = 0) -> np.ndarray:
        steps = np.random.default_rng(seed).uniform(-0.09, 0.09, (frames, 3))
        steps[0] = 0
        return np.cumsum(steps, axis=0)

    return make


class RobotBag:
    """Builds the messages of a bag one by one; what is measured equals what is commanded."""

    def __init__(
        self,
        path: Path,
        names=("pan", "lift", "wrist"),
        namespace: str = "/jepa",
        encoding: str = "rgb8",
        compressed: str = "",
        size=(8, 8),
        omit=(),
        log_offset: int = 0,
        metadata: dict | None = None,
        rename: dict | None = None,
        side_camera: str = "",
        more_topics: dict | None = None,
    ):
        self.path, self.names, self.encoding, self.compressed = Path(path), list(names), encoding, compressed
        self.size, self.log_offset = size, log_offset
        rename = rename or {}
        self.image = namespace + "/" + rename.get("image", "image") + ("/compressed" if compressed else "")
        self.joints = namespace + "/" + rename.get("joint_states", "joint_states")
        self.command = namespace + "/" + rename.get("joint_trajectory", "joint_trajectory")
        kinds = {
            self.image: "sensor_msgs/msg/CompressedImage" if compressed else "sensor_msgs/msg/Image",
            self.joints: "sensor_msgs/msg/JointState",
            self.command: "trajectory_msgs/msg/JointTrajectory",
        }
        self.topics = {
            t: k
            for t, k in kinds.items()
            if t.split("/")[-1] not in omit and (t != self.image or "image" not in omit)
        }
        if side_camera:
            self.topics[side_camera] = "sensor_msgs/msg/Image"
        self.topics |= more_topics or {}
        self.writer = BagWriter(self.path, self.topics, metadata)

    def _write(self, topic: str, now: int, message) -> None:
        if topic in self.topics:
            self.writer.write(topic, now + self.log_offset, message)

    def look(self, now: int, level: int, topic: str = "") -> None:
        """An image of one grey level."""
        pixels = np.full((*self.size, 3), level, np.uint8)
        if self.compressed:
            self._write(
                self.image,
                now,
                message_class("sensor_msgs/msg/CompressedImage")(
                    header=make_header(now),
                    format=self.compressed,
                    data=np.frombuffer(encode_compressed(pixels, self.compressed), np.uint8),
                ),
            )
        else:
            self._write(
                topic or self.image,
                now,
                message_class("sensor_msgs/msg/Image")(
                    header=make_header(now),
                    height=self.size[0],
                    width=self.size[1],
                    encoding=self.encoding,
                    is_bigendian=0,
                    step=3 * self.size[1],
                    data=pixels.reshape(-1),
                ),
            )

    def feel(self, now: int, positions) -> None:
        nothing = np.zeros(0)
        self._write(
            self.joints,
            now,
            message_class("sensor_msgs/msg/JointState")(
                header=make_header(now),
                name=self.names,
                position=np.array(positions, float),
                velocity=nothing,
                effort=nothing,
            ),
        )

    def plan(self, now: int, points, times, stamp: int | None = None) -> None:
        """A trajectory logged at `now`; times in s after the stamp (default: now)."""
        nothing = np.zeros(0)
        duration = message_class("builtin_interfaces/msg/Duration")
        made = [
            message_class("trajectory_msgs/msg/JointTrajectoryPoint")(
                positions=np.array(p, float),
                velocities=nothing,
                accelerations=nothing,
                effort=nothing,
                time_from_start=duration(
                    sec=int(round(t * SECOND) // SECOND), nanosec=int(round(t * SECOND) % SECOND)
                ),
            )
            for p, t in zip(points, times, strict=True)
        ]
        self._write(
            self.command,
            now,
            message_class("trajectory_msgs/msg/JointTrajectory")(
                header=make_header(now if stamp is None else stamp), joint_names=self.names, points=made
            ),
        )

    def play(self, targets: np.ndarray, start: int = 10 * SECOND) -> "RobotBag":
        """Frames at 10 Hz, a single-point trajectory each, a hold before the first; grey level = frame."""
        dt = SECOND // 10
        for t, target in enumerate(targets):
            now = start + t * dt
            if t == 0:
                self.plan(now - dt, [target], [0.1])
            self.look(now, t)
            self.feel(now, target)
            if t + 1 < len(targets):
                self.plan(now, [targets[t + 1]], [0.1])
        return self

    def close(self) -> Path:
        self.writer.close()
        return self.path


@pytest.fixture
def robot_bag():
    """The class RobotBag."""
    return RobotBag


@pytest.fixture
def recorded(tmp_path, robot_bag, walk, spec):
    """(name, **options) -> path of a healthy bag under tmp_path/bags that carries its ActionSpec."""

    def make(name: str = "a", seed: int = 0, frames: int = 30, **options) -> Path:
        options.setdefault(
            "metadata", {"action_spec": json.loads(json.dumps(spec.to_dict())), "task": "walk"}
        )
        return robot_bag(tmp_path / "bags" / name, **options).play(walk(frames, seed)).close()

    return make

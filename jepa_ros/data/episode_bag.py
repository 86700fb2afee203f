"""One episode as the live graph records it: image, camera_info, joint_states, joint_trajectory, clock."""

from pathlib import Path

import numpy as np

from jepa_ros.data.action_spec import ActionSpec
from jepa_ros.data.bag_writer import BagWriter
from jepa_ros.data.images import encode_image
from jepa_ros.data.messages import make_header, make_time, message_class
from jepa_ros.data.topics import base_of

CAMERA_FRAME = "camera"


def episode_topics(namespace: str) -> dict[str, str]:
    """Topic -> type of an episode's bag."""
    base = base_of(namespace)
    return {
        f"{base}/image": "sensor_msgs/msg/Image",
        f"{base}/camera_info": "sensor_msgs/msg/CameraInfo",
        f"{base}/joint_states": "sensor_msgs/msg/JointState",
        f"{base}/joint_trajectory": "trajectory_msgs/msg/JointTrajectory",
        "/clock": "rosgraph_msgs/msg/Clock",
    }


class EpisodeBag:
    """Writes observations and commands; a context manager like BagWriter.

    camera_info: width, height, k (3x3), and where known d, r, p, distortion_model (see
    Simulator.camera_info). All times are s; they become header stamps and log times alike.
    """

    def __init__(
        self,
        path: Path,
        spec: ActionSpec,
        camera_info: dict,
        namespace: str = "jepa",
        metadata: dict | None = None,
    ):
        topics = episode_topics(namespace)
        self._image, self._camera_info, self._joints, self._command, self._clock = topics
        self._spec, self._names = spec, list(spec.joint_names)
        self._camera = _camera_fields(camera_info)
        self._writer = BagWriter(path, topics, {**(metadata or {}), "action_spec": spec.to_dict()})

    def observe(self, time: float, image: np.ndarray, positions: np.ndarray, velocities: np.ndarray) -> None:
        """image: (H, W, 3) uint8 RGB; positions, velocities: (A,) rad and rad/s."""
        now = round(time * 1e9)
        picture = image_message(now, image)
        self._writer.write(self._clock, now, message_class("rosgraph_msgs/msg/Clock")(clock=make_time(now)))
        self._writer.write(self._image, now, picture)
        camera_info = message_class("sensor_msgs/msg/CameraInfo")(header=picture.header, **self._camera)
        self._writer.write(self._camera_info, now, camera_info)
        self._writer.write(self._joints, now, joint_state_message(now, self._names, positions, velocities))

    def command(self, time: float, target: np.ndarray, period: float | None = None) -> None:
        """A trajectory of one point: `target` (A,) rad a period (s; default: an action's) after `time`."""
        now = round(time * 1e9)
        message = command_message(now, self._names, target, period or self._spec.dt)
        self._writer.write(self._command, now, message)

    def __enter__(self) -> "EpisodeBag":
        return self

    def __exit__(self, kind, error, trace) -> None:
        self._writer.__exit__(kind, error, trace)


def image_message(now: int, image: np.ndarray):
    """now: ns.  image: (H, W, 3) uint8 RGB."""
    encoding, height, width, step, _ = encode_image(image)
    return message_class("sensor_msgs/msg/Image")(
        header=make_header(now, CAMERA_FRAME),
        height=height,
        width=width,
        encoding=encoding,
        is_bigendian=0,
        step=step,
        data=np.ascontiguousarray(image).reshape(-1),
    )


def joint_state_message(now: int, names: list[str], positions: np.ndarray, velocities: np.ndarray):
    """now: ns.  positions, velocities: (A,) rad and rad/s."""
    return message_class("sensor_msgs/msg/JointState")(
        header=make_header(now),
        name=names,
        position=np.array(positions, float),
        velocity=np.array(velocities, float),
        effort=np.zeros(0),
    )


def command_message(now: int, names: list[str], target: np.ndarray, period: float):
    """A trajectory of one point. now: ns.  target: (A,) rad, a period (s) later."""
    nothing = np.zeros(0)
    seconds, rest = divmod(round(period * 1e9), 10**9)
    point = message_class("trajectory_msgs/msg/JointTrajectoryPoint")(
        positions=np.array(target, float),
        velocities=nothing,
        accelerations=nothing,
        effort=nothing,
        time_from_start=message_class("builtin_interfaces/msg/Duration")(sec=seconds, nanosec=rest),
    )
    return message_class("trajectory_msgs/msg/JointTrajectory")(
        header=make_header(now), joint_names=names, points=[point]
    )


def _camera_fields(info: dict) -> dict:
    """CameraInfo's fields but the header, from the pinhole intrinsics."""
    k = np.array(info["k"], float).reshape(3, 3)
    p = np.hstack([k, np.zeros((3, 1))])
    roi = message_class("sensor_msgs/msg/RegionOfInterest")(
        x_offset=0, y_offset=0, height=0, width=0, do_rectify=False
    )
    return {
        "height": int(info["height"]),
        "width": int(info["width"]),
        "distortion_model": info.get("distortion_model", "plumb_bob"),
        "d": np.array(info.get("d", np.zeros(5)), float),
        "k": k.reshape(-1),
        "r": np.array(info.get("r", np.eye(3)), float).reshape(-1),
        "p": np.array(info.get("p", p), float).reshape(-1),
        "binning_x": 0,
        "binning_y": 0,
        "roi": roi,
    }

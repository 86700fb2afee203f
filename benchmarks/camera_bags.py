"""Bags of the simulated arm as a robot would record them: a camera of any rate and size, raw or JPEG."""

from itertools import islice
from pathlib import Path

import numpy as np

from jepa_ros.data.bag_writer import BagWriter
from jepa_ros.data.behaviours import PATTERN, Scene, commanded_targets
from jepa_ros.data.collect import CollectSettings, Recorder
from jepa_ros.data.episode_bag import CAMERA_FRAME, command_message, image_message, joint_state_message
from jepa_ros.data.images import encode_compressed
from jepa_ros.data.messages import make_header, make_time, message_class

EPISODE_S, GAP_S = 20.0, 2.0
IMAGE, COMPRESSED = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"
NOISE = 6.0
"""Standard deviation of the camera's noise in grey levels: without it JPEGs are smaller than a camera's."""


class CameraRecorder(Recorder):
    """Drives the simulated arm as `jepa collect` does, and records it with a camera of its own rate."""

    def __init__(
        self, size: tuple[int, int], camera_hz: int, quality: int | None = None, noise: bool = False
    ):
        """size: (h, w).  camera_hz: a multiple of the commands' rate.  quality: of JPEG; None: raw rgb8."""
        super().__init__(CollectSettings(image_size=size))
        self.camera_hz, self.quality, self._names = camera_hz, quality, list(self.spec.joint_names)
        rng = np.random.default_rng(0)
        self._noise = rng.normal(0, NOISE, (8 if noise else 0, *size, 3)).astype(np.int16)
        self._images = 0

    def record_bag(self, path: Path, seconds: float, compression: str = "zstd") -> int:
        """Episodes of EPISODE_S with gaps of GAP_S between them, ``seconds`` in all; returns how many images.

        compression: of the bag's chunks, "zstd" or "none".
        """
        image = (
            ("/camera/image_raw", IMAGE)
            if self.quality is None
            else ("/camera/image_raw/compressed", COMPRESSED)
        )
        topics = dict(
            [image, ("/joint_states", "sensor_msgs/msg/JointState"), ("/clock", "rosgraph_msgs/msg/Clock")]
        )
        topics["/joint_trajectory"] = "trajectory_msgs/msg/JointTrajectory"
        metadata = {"task": "reach", "action_spec": self.spec.to_dict()}
        self._images = 0
        with BagWriter(path, topics, metadata, compression=compression) as bag:
            for episode in range(max(1, round(seconds / (EPISODE_S + GAP_S)))):
                self._record_episode(bag, image[0], episode)
        return self._images

    def _record_episode(self, bag: BagWriter, image_topic: str, episode: int) -> None:
        rng = self.task.collection_rng(900_000 + episode)
        simulator = self._simulator
        simulator.reset(self.task.sample_start(rng))
        scene = Scene(self.spec, lambda: self._sample_goal(rng), self._is_clear, rng)
        targets = commanded_targets(PATTERN[episode % 3], simulator.target, scene)
        began, before = episode * (EPISODE_S + GAP_S), simulator.target
        pictures = round(self.camera_hz / self.spec.rate_hz)
        for target in islice(targets, round(EPISODE_S * self.spec.rate_hz)):
            self._command(bag, began + simulator.time, target)
            for picture in range(pictures):
                self._observe(bag, image_topic, began + simulator.time)
                simulator.set_target(before + (target - before) * (picture / pictures))
                simulator.advance(self.spec.dt / pictures)
            before = target

    def _observe(self, bag: BagWriter, topic: str, time: float) -> None:
        now, pixels = round(time * 1e9), self._simulator.render()
        if len(self._noise):
            pixels = np.clip(pixels + self._noise[self._images % len(self._noise)], 0, 255).astype(np.uint8)
        self._images += 1
        bag.write("/clock", now, message_class("rosgraph_msgs/msg/Clock")(clock=make_time(now)))
        if self.quality is None:
            message = image_message(now, pixels)
        else:
            data = np.frombuffer(encode_compressed(pixels, "jpeg", self.quality), np.uint8)
            header = make_header(now, CAMERA_FRAME)
            message = message_class(COMPRESSED)(header=header, format="rgb8; jpeg compressed bgr8", data=data)
        bag.write(topic, now, message)
        positions, velocities = self._simulator.joint_positions, self._simulator.joint_velocities
        bag.write("/joint_states", now, joint_state_message(now, self._names, positions, velocities))

    def _command(self, bag: BagWriter, time: float, target: np.ndarray) -> None:
        now = round(time * 1e9)
        bag.write("/joint_trajectory", now, command_message(now, self._names, target, self.spec.dt))

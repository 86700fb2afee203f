"""Perception: camera images and goal images to latents."""

import time
import uuid

import numpy as np
from sensor_msgs.msg import CompressedImage, Image

from jepa_ros.data.frame_change import THRESHOLD, FrameSkip
from jepa_ros.data.images import resize
from jepa_ros.data.stamps import stamp_ns
from jepa_ros.errors import JepaError
from jepa_ros.msg import Embedding, Goal
from jepa_ros.nodes.base.diagnostics import Report, Share
from jepa_ros.nodes.base.lifecycle import INPUT_STALE_S, ManagedNode
from jepa_ros.nodes.base.model import MODEL_PARAMS, load
from jepa_ros.nodes.base.parameters import Param
from jepa_ros.nodes.base.robot import ROBOT_PARAMS
from jepa_ros.nodes.base.run import run
from jepa_ros.nodes.wire import images, qos, tensor
from jepa_ros.srv import EncodeImage, SetGoal


class EncoderNode(ManagedNode):
    """`image` -> `embedding`, with the image's stamp; `goal_image` or `~/set_goal` -> `goal` (latched);
    `~/encode`. Camera images that hardly differ from the last encoded one are not encoded; goals always are.

    on_embedding: called with every Embedding, in the composition where the planner shares this process.
    """

    NAME = "encoder"
    PARAMS = (
        *MODEL_PARAMS,
        *ROBOT_PARAMS,
        Param(
            "image_transport",
            "raw",
            "raw reads `image`, compressed reads `image/compressed`.",
            choices=("raw", "compressed"),
        ),
        Param(
            "image_reliability",
            "reliable",
            "QoS towards the camera. best_effort: for cameras that publish so; it "
            "loses most raw images above about 500 kB.",
            choices=("reliable", "best_effort"),
        ),
        Param(
            "skip_threshold",
            THRESHOLD,
            "An image is not encoded while no part of it (of 16 x 16) differs by more than this, of 255, from the last "
            "encoded one: that one's latent is published again, for less than a block's duration. The very same picture "
            "is never encoded again. 0: every image is encoded.",
            0.0,
            255.0,
        ),
    )

    def __init__(self, on_embedding=None, **kwargs):
        self._on_embedding = on_embedding
        super().__init__(**kwargs)

    def _setup(self) -> None:
        self._checkpoint = load(self)
        self._checkpoint.model.embed(np.zeros((*self._checkpoint.model.image_size, 3), np.uint8))  # warm up
        spec = self._checkpoint.spec
        self._skip = FrameSkip(self.param("skip_threshold"), spec.block * spec.dt)
        self._last: Embedding | None = None  # of the last image that was encoded
        self._skipped = Share()
        self._embeddings = self.publisher(Embedding, "embedding", qos.LATENT)
        self._goals = self.publisher(Goal, "goal", qos.GOAL)
        work = self.worker(self._compute, kinds=("goal", "image"))
        raw = self.param("image_transport") == "raw"
        self.subscriber(
            Image if raw else CompressedImage,
            "image" if raw else "image/compressed",
            lambda msg: work.offer(msg, "image"),
            qos.image(self.param("image_reliability")),
            stale_after_s=INPUT_STALE_S,
        )
        self.subscriber(Image, "goal_image", lambda msg: work.offer(msg, "goal"), qos.image("reliable"))
        self.serve(EncodeImage, "~/encode", self._serve_encode)
        self.serve(SetGoal, "~/set_goal", self._serve_set_goal)

    def _diagnose(self, report: Report) -> None:
        report.hardware_id = self._checkpoint.model_id
        report.add("model_id", self._checkpoint.model_id)
        report.add("device", self.param("device"))
        report.add("runtime", self._checkpoint.model.runtime)
        report.add("image: skipped", self._skipped.count)
        report.add("image: skipped_share", self._skipped.recent(time.monotonic()))

    def embed(self, msg: Image | CompressedImage) -> Embedding:
        """The Embedding of an image message; JepaError for an image that cannot be read."""
        began = time.perf_counter()
        return self._encode(msg, self._picture(msg), began)

    def see(self, msg: Image | CompressedImage) -> Embedding:
        """The same of a camera image; with the latent of the last encoded one where it hardly differs from that."""
        began = time.perf_counter()
        picture, stamp = self._picture(msg), stamp_ns(msg) * 1e-9
        skip = self._skip.may_skip(picture, stamp)
        self._skipped.add(skip, time.monotonic())
        if not skip:
            self._last, self._encoded_stamp = self._encode(msg, picture, began), msg.header.stamp
            self._skip.encoded(picture, stamp)
            return self._last
        if self._skip.same:
            self._encoded_stamp = msg.header.stamp
        return Embedding(
            header=msg.header,
            encoder_id=self._last.encoder_id,
            latent=self._last.latent,
            encoded_stamp=self._encoded_stamp,
            encode_ms=1e3 * (time.perf_counter() - began),
        )

    def _picture(self, msg: Image | CompressedImage) -> np.ndarray:
        return resize(images.from_msg(msg), self._checkpoint.model.image_size)

    def _encode(self, msg: Image | CompressedImage, picture: np.ndarray, began: float) -> Embedding:
        return Embedding(
            header=msg.header,
            encoder_id=self._checkpoint.model_id,
            latent=tensor.to_msg("latent", self._checkpoint.model.embed(picture)[None]),
            encoded_stamp=msg.header.stamp,
            encode_ms=1e3 * (time.perf_counter() - began),
        )

    def _compute(self, kind: str, msg: Image | CompressedImage) -> None:
        try:
            embedding = self.see(msg) if kind == "image" else self.embed(msg)
        except JepaError as error:
            raise JepaError(f"{'goal_image' if kind == 'goal' else 'image'}: {error}") from error
        if kind == "goal":
            self._publish_goal(embedding)
            return
        if self._on_embedding is not None:
            self._on_embedding(embedding)
        self._embeddings.publish(embedding)

    def _publish_goal(self, embedding: Embedding) -> str:
        goal = Goal(header=embedding.header, goal_id=uuid.uuid4().hex, embedding=embedding)
        self._goals.publish(goal)
        return goal.goal_id

    def _serve_encode(self, request, response) -> None:
        response.embedding = self.embed(request.image)
        response.success = True

    def _serve_set_goal(self, request, response) -> None:
        if request.use_embedding and request.goal_embedding.encoder_id != self._checkpoint.model_id:
            raise JepaError(
                f"goal_embedding is of checkpoint {request.goal_embedding.encoder_id!r}, in use is "
                f"{self._checkpoint.model_id!r}; encode the goal image with {self.get_name()}/encode"
            )
        embedding = request.goal_embedding if request.use_embedding else self.embed(request.goal_image)
        response.goal_id = self._publish_goal(embedding)
        response.success = True


def main() -> None:
    """`ros2 run jepa_ros encoder`"""
    raise SystemExit(run(lambda: [EncoderNode()]))


if __name__ == "__main__":
    main()

"""ROS image messages to and from RGB arrays."""

from array import array

import numpy as np
from sensor_msgs.msg import CompressedImage, Image

from jepa_ros.data.images import ENCODINGS, decode_compressed, decode_image, encode_compressed, encode_image
from jepa_ros.errors import JepaError


def from_msg(msg: Image | CompressedImage) -> np.ndarray:
    """(H, W, 3) uint8 RGB; JepaError names encoding and sizes. Encodings beyond the common ones (Bayer, YUV, 16 bit) go
    through cv_bridge, where ROS has it."""
    if isinstance(msg, CompressedImage):
        return decode_compressed(msg.format, msg.data)
    if msg.encoding not in ENCODINGS:
        try:
            return _by_cv_bridge(msg)
        except ImportError:
            pass  # no cv_bridge here: decode_image names the encodings that can be had without it
    return decode_image(msg.encoding, msg.height, msg.width, msg.step, msg.data)


def _by_cv_bridge(msg: Image) -> np.ndarray:
    from cv_bridge import CvBridge, CvBridgeError

    try:
        return CvBridge().imgmsg_to_cv2(msg, "rgb8")
    except CvBridgeError as error:
        raise JepaError(
            f"image encoding {msg.encoding!r} is one that cv_bridge cannot turn into rgb8: {error}"
        ) from error


def to_msg(image: np.ndarray, header) -> Image:
    """An rgb8 message of an (H, W, 3) uint8 RGB image."""
    encoding, height, width, step, data = encode_image(image)
    return Image(
        header=header, encoding=encoding, height=height, width=width, step=step, data=array("B", data)
    )


def to_compressed_msg(image: np.ndarray, header, format: str = "jpeg") -> CompressedImage:
    """A JPEG or PNG message of an (H, W, 3) uint8 RGB image."""
    return CompressedImage(header=header, format=format, data=array("B", encode_compressed(image, format)))

"""ROS image messages to and from RGB arrays."""

from array import array

import numpy as np
from sensor_msgs.msg import CompressedImage, Image

from jepa_ros.data.images import decode_message, encode_compressed, encode_image


def from_msg(msg: Image | CompressedImage) -> np.ndarray:
    """(H, W, 3) uint8 RGB, the pixels that a bag of this message gives; JepaError names what is wrong."""
    return decode_message(msg)


def to_msg(image: np.ndarray, header) -> Image:
    """An rgb8 message of an (H, W, 3) uint8 RGB image."""
    encoding, height, width, step, data = encode_image(image)
    return Image(
        header=header, encoding=encoding, height=height, width=width, step=step, data=array("B", data)
    )


def to_compressed_msg(image: np.ndarray, header, format: str = "jpeg") -> CompressedImage:
    """A JPEG or PNG message of an (H, W, 3) uint8 RGB image."""
    return CompressedImage(header=header, format=format, data=array("B", encode_compressed(image, format)))

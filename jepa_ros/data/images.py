"""Images as ROS messages carry them, to and from RGB arrays. NumPy, and OpenCV for resizing and JPEG/PNG.

Every image inside jepa_ros is an (H, W, 3) uint8 RGB array.
"""

import numpy as np

from jepa_ros.errors import JepaError

# encoding -> (channels, channel order that makes RGB)
ENCODINGS = {
    "rgb8": (3, (0, 1, 2)),
    "bgr8": (3, (2, 1, 0)),
    "rgba8": (4, (0, 1, 2)),
    "bgra8": (4, (2, 1, 0)),
    "8UC3": (3, (2, 1, 0)),
    "mono8": (1, (0, 0, 0)),
    "8UC1": (1, (0, 0, 0)),
}


def decode_image(encoding: str, height: int, width: int, step: int, data) -> np.ndarray:
    """The pixels of a sensor_msgs/Image as (height, width, 3) uint8 RGB, a fresh writable array.

    data: bytes, array.array or uint8 array of at least step * height bytes; step: bytes per row, padding
    allowed. Raises JepaError naming encoding and sizes.
    """
    if encoding not in ENCODINGS:
        raise JepaError(
            f"image encoding {encoding!r} is not supported; publish one of {', '.join(ENCODINGS)}"
        )
    channels, order = ENCODINGS[encoding]
    flat = np.frombuffer(data, dtype=np.uint8)
    if height < 1 or width < 1 or step < width * channels or flat.size < step * height:
        raise JepaError(
            f"image of encoding {encoding!r} has {flat.size} bytes for height {height}, width {width}, "
            f"step {step}; "
            f"expected step >= {width * channels} and at least step * height bytes"
        )
    rows = flat[: step * height].reshape(height, step)[:, : width * channels].reshape(height, width, channels)
    if order == (0, 1, 2):
        return np.array(rows[..., :3], order="C")
    return np.ascontiguousarray(rows[..., list(order)])


def encode_image(image: np.ndarray) -> tuple[str, int, int, int, bytes]:
    """(encoding, height, width, step, data) of an RGB image: the arguments of decode_image."""
    image = _require_rgb(image)
    height, width = image.shape[:2]
    return "rgb8", height, width, 3 * width, image.tobytes()


def decode_compressed(format: str, data) -> np.ndarray:
    """The pixels of a sensor_msgs/CompressedImage (JPEG or PNG) as (H, W, 3) uint8 RGB.

    format: the message's field, "jpeg" or as image_transport writes it ("rgb8; jpeg compressed bgr8").
    """
    import cv2

    kind = format.lower()
    flat = np.frombuffer(data, dtype=np.uint8)
    if "compresseddepth" in kind or not any(k in kind for k in ("jpeg", "jpg", "png")):
        raise JepaError(f"compressed image format {format!r} is not supported; publish jpeg or png")
    pixels = cv2.imdecode(flat, cv2.IMREAD_COLOR) if flat.size else None
    if pixels is None:
        raise JepaError(f"compressed image of format {format!r} with {flat.size} bytes cannot be decoded")
    return np.ascontiguousarray(pixels[..., ::-1])


def encode_compressed(image: np.ndarray, format: str = "jpeg", quality: int = 90) -> bytes:
    """JPEG or PNG bytes of an (H, W, 3) uint8 RGB image; quality (0..100) counts for JPEG only."""
    import cv2

    if format not in ("jpeg", "png"):
        raise JepaError(f"compressed image format {format!r} is not supported; use jpeg or png")
    options = [cv2.IMWRITE_JPEG_QUALITY, int(quality)] if format == "jpeg" else []
    return cv2.imencode("." + format, _require_rgb(image)[..., ::-1], options)[1].tobytes()


def read_image(path) -> np.ndarray:
    """An image file (PNG, JPEG) as (H, W, 3) uint8 RGB."""
    import cv2

    pixels = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if pixels is None:
        raise JepaError(f"{path}: not a readable image file; give a PNG or JPEG")
    return np.ascontiguousarray(pixels[..., ::-1])


def resize(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The image at size (h, w): centre crop to the aspect of size, then area averaging (linear when
    enlarging).

    The image itself where it has that size already.
    """
    import cv2

    image = _require_rgb(image)
    height, width = (int(v) for v in size)
    if height < 1 or width < 1:
        raise JepaError(f"image size {size} is not valid; give (height, width) of at least 1")
    if image.shape[:2] == (height, width):
        return image
    rows, columns = image.shape[:2]
    crop_rows = min(rows, max(1, round(columns * height / width)))
    crop_columns = min(columns, max(1, round(rows * width / height)))
    top, left = (rows - crop_rows) // 2, (columns - crop_columns) // 2
    crop = image[top : top + crop_rows, left : left + crop_columns]
    shrink = crop_rows >= height and crop_columns >= width
    return cv2.resize(crop, (width, height), interpolation=cv2.INTER_AREA if shrink else cv2.INTER_LINEAR)


def _require_rgb(image: np.ndarray) -> np.ndarray:
    image = np.asarray(image)
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or 0 in image.shape:
        raise JepaError(f"expected an (H, W, 3) uint8 RGB image, got shape {image.shape} of {image.dtype}")
    return image

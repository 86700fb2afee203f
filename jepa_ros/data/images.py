"""Images as ROS messages carry them, to and from RGB arrays.

Every image inside jepa_ros is an (H, W, 3) uint8 RGB array. Live nodes and bag readers decode with the
functions here, so that the same message gives the same pixels in both.
"""

import struct

import numpy as np

from jepa_ros.errors import JepaError

# encoding -> (bytes per channel, channels, the OpenCV conversion that makes RGB of it)
ENCODINGS: dict[str, tuple[int, int, str | None]] = {
    "rgb8": (1, 3, None),
    "bgr8": (1, 3, "COLOR_BGR2RGB"),
    "rgba8": (1, 4, "COLOR_RGBA2RGB"),
    "bgra8": (1, 4, "COLOR_BGRA2RGB"),
    "8UC3": (1, 3, "COLOR_BGR2RGB"),
    "mono8": (1, 1, "COLOR_GRAY2RGB"),
    "8UC1": (1, 1, "COLOR_GRAY2RGB"),
    "rgb16": (2, 3, None),
    "bgr16": (2, 3, "COLOR_BGR2RGB"),
    "rgba16": (2, 4, "COLOR_RGBA2RGB"),
    "bgra16": (2, 4, "COLOR_BGRA2RGB"),
    "mono16": (2, 1, "COLOR_GRAY2RGB"),
    "16UC1": (2, 1, "COLOR_GRAY2RGB"),
    "yuv422": (1, 2, "COLOR_YUV2RGB_UYVY"),
    "uyvy": (1, 2, "COLOR_YUV2RGB_UYVY"),
    "yuv422_yuy2": (1, 2, "COLOR_YUV2RGB_YUY2"),
    "yuyv": (1, 2, "COLOR_YUV2RGB_YUY2"),
    **{
        f"bayer_{pattern}{bits}": (bits // 8, 1, f"COLOR_Bayer{pattern.upper()}2RGB")
        for pattern in ("rggb", "bggr", "gbrg", "grbg")
        for bits in (8, 16)
    },
}
LARGEST = 1 << 26
"""Pixels of the largest compressed image that is decoded: a damaged size must not take all memory."""
_PNG, _JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8"


def decode_message(message) -> np.ndarray:
    """(H, W, 3) uint8 RGB of a sensor_msgs Image or CompressedImage, whichever library the message is from.

    Raises JepaError as decode_image and decode_compressed do.
    """
    if hasattr(message, "format"):
        return decode_compressed(message.format, message.data)
    return decode_image(
        message.encoding,
        message.height,
        message.width,
        message.step,
        message.data,
        bool(message.is_bigendian),
    )


def decode_image(
    encoding: str, height: int, width: int, step: int, data, bigendian: bool = False
) -> np.ndarray:
    """The pixels of a sensor_msgs/Image as (height, width, 3) uint8 RGB, a fresh writable array.

    data: bytes, array.array or uint8 array of at least step * height bytes; step: bytes per row, padding
    allowed. 16-bit values are scaled from 0..65535 to 0..255; bigendian: their byte order. Bayer mosaics are
    interpolated, YUV 4:2:2 is ITU-R BT.601. Raises JepaError naming encoding and sizes.
    """
    if encoding not in ENCODINGS:
        raise JepaError(
            f"image encoding {encoding!r} is not supported; publish one of {', '.join(ENCODINGS)}"
        )
    depth, channels, conversion = ENCODINGS[encoding]
    row = width * channels * depth
    flat = np.frombuffer(data, dtype=np.uint8)
    if height < 1 or width < 1:
        raise JepaError(
            f"image of encoding {encoding!r} is empty (height {height}, width {width}); check the driver"
        )
    if step < row or flat.size < step * height:
        raise JepaError(
            f"image of encoding {encoding!r} has {flat.size} bytes for height {height}, width {width}, "
            f"step {step}; expected step >= {row} and at least step * height bytes; check the camera driver"
        )
    if "YUV" in (conversion or "") and width % 2:
        raise JepaError(
            f"image of encoding {encoding!r} has width {width}; two pixels share a colour, it must be even"
        )
    rows = flat[: step * height].reshape(height, step)[:, :row]
    if depth == 2:
        rows = _to_8_bit(np.ascontiguousarray(rows).view(">u2" if bigendian else "<u2").astype(np.uint16))
    pixels = rows.reshape(height, width, channels) if channels > 1 else rows
    return np.array(pixels, order="C") if conversion is None else _convert(pixels, conversion)


def _to_8_bit(values: np.ndarray) -> np.ndarray:
    import cv2

    return cv2.convertScaleAbs(values, alpha=1 / 257)


def _convert(pixels: np.ndarray, conversion: str) -> np.ndarray:
    import cv2

    return cv2.cvtColor(pixels, getattr(cv2, conversion))


def encode_image(image: np.ndarray) -> tuple[str, int, int, int, bytes]:
    """(encoding, height, width, step, data) of an RGB image: the arguments of decode_image."""
    image = _require_rgb(image)
    height, width = image.shape[:2]
    return "rgb8", height, width, 3 * width, image.tobytes()


def decode_compressed(format: str, data) -> np.ndarray:
    """The pixels of a sensor_msgs/CompressedImage (JPEG or PNG, 8 or 16 bit) as (H, W, 3) uint8 RGB.

    format: the message's field, "jpeg" or as image_transport writes it ("rgb8; jpeg compressed bgr8"); what
    the bytes are is read from them. A Bayer mosaic in a PNG ("bayer_rggb8; png compressed ") is interpolated.
    """
    import cv2

    flat = np.frombuffer(data, dtype=np.uint8)
    head = flat[:8].tobytes()
    if "compresseddepth" in format.lower() or not head.startswith((_PNG, _JPEG)):
        raise JepaError(
            f"compressed image of format {format!r} with {flat.size} bytes is neither JPEG nor PNG; "
            "publish one of these"
        )
    claimed = _declared_pixels(flat)
    if claimed > LARGEST:
        raise JepaError(
            f"compressed image of format {format!r} claims {claimed} pixels in {flat.size} bytes; "
            f"at most {LARGEST} are decoded"
        )
    mosaic = ENCODINGS.get(format.partition(";")[0].strip()) if head == _PNG and "bayer_" in format else None
    flags = cv2.IMREAD_UNCHANGED if mosaic else cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH
    try:
        pixels = cv2.imdecode(flat, flags)
    except cv2.error as error:
        raise JepaError(f"compressed image of format {format!r} cannot be decoded: {error}") from error
    if pixels is None:
        raise JepaError(f"compressed image of format {format!r} with {flat.size} bytes cannot be decoded")
    if pixels.dtype == np.uint16:
        pixels = _to_8_bit(pixels)
    return _convert(pixels, mosaic[2] if mosaic and pixels.ndim == 2 else "COLOR_BGR2RGB")


def _declared_pixels(flat: np.ndarray) -> int:
    """Width times height in a JPEG's or PNG's head; 0 where none is found."""
    data = memoryview(flat)
    if flat[0] == _PNG[0]:
        width, height = struct.unpack_from(">II", data, 16) if len(data) >= 24 else (0, 0)
        return width * height
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):  # start of frame
            height, width = struct.unpack_from(">HH", data, at + 5)
            return height * width
        at += 1 if marker == 0xFF else 2 + struct.unpack_from(">H", data, at + 2)[0]
    return 0


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

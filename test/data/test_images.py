"""Images to and from ROS messages."""

import array
import struct

import cv2
import numpy as np
import pytest

from jepa_ros.data.images import (
    decode_compressed,
    decode_image,
    encode_compressed,
    encode_image,
    read_image,
    resize,
)
from jepa_ros.errors import JepaError

RGB = np.random.default_rng(0).integers(0, 256, (6, 5, 3), dtype=np.uint8)


def test_encode_gives_the_arguments_of_decode():
    assert np.array_equal(decode_image(*encode_image(RGB)), RGB)


@pytest.mark.parametrize(
    "encoding, data",
    [
        ("bgr8", RGB[..., ::-1]),
        ("8UC3", RGB[..., ::-1]),
        ("rgba8", np.dstack([RGB, np.zeros((6, 5, 1), np.uint8)])),
        ("bgra8", np.dstack([RGB[..., ::-1], np.zeros((6, 5, 1), np.uint8)])),
    ],
)
def test_colour_encodings_give_the_same_rgb(encoding, data):
    assert np.array_equal(decode_image(encoding, 6, 5, 5 * data.shape[2], data.tobytes()), RGB)


@pytest.mark.parametrize("bigendian", [False, True])
@pytest.mark.parametrize("encoding, order", [("rgb16", [0, 1, 2]), ("bgr16", [2, 1, 0])])
def test_16_bit_colours_are_scaled_to_8(encoding, order, bigendian):
    wide = (RGB[..., order].astype(np.uint16) * 257).astype(">u2" if bigendian else "<u2")
    assert np.array_equal(decode_image(encoding, 6, 5, 30, wide.tobytes(), bigendian), RGB)


@pytest.mark.parametrize("encoding", ["mono16", "16UC1"])
def test_16_bit_grey_is_scaled_over_its_whole_range(encoding):
    values = np.array([[0, 128, 129, 32767, 65535]], "<u2")
    assert decode_image(encoding, 1, 5, 10, values.tobytes())[0, :, 1].tolist() == [0, 0, 1, 127, 255]


@pytest.mark.parametrize(
    "encoding, order",
    [("yuv422", "UYVY"), ("uyvy", "UYVY"), ("yuv422_yuy2", "YUYV"), ("yuyv", "YUYV")],
)
@pytest.mark.parametrize("colour", [(255, 0, 0), (0, 255, 0), (0, 0, 255), (30, 120, 200), (255, 255, 255)])
def test_yuv422_is_bt601(encoding, order, colour):
    """Against the formulas of BT.601 with 16..235 luma, from one colour in a padded row of four pixels."""
    r, g, b = colour
    y = 16 + 0.257 * r + 0.504 * g + 0.098 * b
    values = {
        "Y": y,
        "U": 128 - 0.148 * r - 0.291 * g + 0.439 * b,
        "V": 128 + 0.439 * r - 0.368 * g - 0.071 * b,
    }
    row = bytes(round(values[c]) for c in order) * 2 + b"pad"
    image = decode_image(encoding, 2, 4, len(row), row * 2)
    assert image.shape == (2, 4, 3)
    assert np.abs(image.astype(int) - colour).max() <= 3


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("pattern", ["rggb", "bggr", "gbrg", "grbg"])
def test_a_bayer_mosaic_of_one_colour_gives_that_colour(pattern, bits):
    colour = {"r": 10, "g": 100, "b": 200}
    tile = np.array([colour[c] for c in pattern], np.uint8).reshape(2, 2)
    mosaic = np.tile(tile, (4, 5)).astype(f"<u{bits // 8}") * (257 if bits == 16 else 1)
    image = decode_image(
        f"bayer_{pattern}{bits}", 8, 10, 10 * bits // 8, mosaic.astype(f"<u{bits // 8}").tobytes()
    )
    assert np.all(image == (10, 100, 200))


def test_mono_becomes_grey():
    grey = RGB[..., 0]
    assert np.array_equal(
        decode_image("mono8", 6, 5, 5, grey.tobytes()), np.repeat(grey[..., None], 3, axis=2)
    )


@pytest.mark.parametrize(
    "wrap", [bytes, bytearray, lambda b: array.array("B", b), lambda b: np.frombuffer(b, np.uint8)]
)
def test_rows_may_be_padded_and_data_of_any_bytes_type(wrap):
    padded = np.zeros((6, 20), np.uint8)
    padded[:, :15] = RGB.reshape(6, 15)
    image = decode_image("rgb8", 6, 5, 20, wrap(padded.tobytes()))
    assert np.array_equal(image, RGB)
    assert image.flags.writeable


@pytest.mark.parametrize(
    "arguments, named",
    [
        (("32FC1", 6, 5, 20, bytes(120)), "32FC1"),
        (("yuv422", 6, 5, 10, bytes(60)), "width 5"),
        (("mono16", 6, 5, 9, bytes(60)), "step 9"),
        (("rgb8", 6, 5, 15, bytes(89)), "89 bytes"),
        (("rgb8", 6, 5, 14, bytes(90)), "step 14"),
        (("rgb8", 0, 5, 15, bytes(90)), "height 0.*check the driver"),
    ],
)
def test_wrong_images_are_named(arguments, named):
    with pytest.raises(JepaError, match=named):
        decode_image(*arguments)


@pytest.mark.parametrize(
    "message_format", ["png", "rgb8; png compressed bgr8", "bgra8; png compressed bgr8", ""]
)
def test_png_is_exact(message_format):
    assert np.array_equal(decode_compressed(message_format, encode_compressed(RGB, "png")), RGB)


def encoded(extension, pixels):
    return cv2.imencode(extension, pixels)[1].tobytes()


@pytest.mark.parametrize(
    "message_format, data, grey",
    [
        ("mono8; png compressed ", encoded(".png", RGB[..., 0]), RGB[..., 0]),
        ("mono16; png compressed ", encoded(".png", RGB[..., 0].astype(np.uint16) * 257), RGB[..., 0]),
        ("mono8; jpeg compressed mono8", encoded(".jpg", np.full((9, 9), 77, np.uint8)), np.full((9, 9), 77)),
    ],
)
def test_grey_pictures_of_image_transport(message_format, data, grey):
    image = decode_compressed(message_format, data)
    assert all(np.array_equal(image[..., c], grey) for c in range(3))


def test_16_bit_colours_of_image_transport():
    data = encoded(".png", RGB[..., ::-1].astype(np.uint16) * 257)
    assert np.array_equal(decode_compressed("rgb16; png compressed bgr16", data), RGB)


def test_a_bayer_mosaic_that_image_transport_put_into_a_png():
    mosaic = np.tile(np.array([[10, 100], [100, 200]], np.uint8), (4, 4))
    image = decode_compressed("bayer_rggb8; png compressed ", encoded(".png", mosaic))
    assert np.all(image == (10, 100, 200))


@pytest.mark.parametrize(
    "message_format",
    ["jpeg", "jpg", "image/jpeg", "rgb8; jpeg compressed bgr8", "bgr8; jpeg compressed bgr8", ""],
)
def test_jpeg_is_close(message_format):
    smooth = np.repeat(np.repeat(RGB, 16, axis=0), 16, axis=1)
    error = np.abs(
        decode_compressed(message_format, encode_compressed(smooth, "jpeg", 95)).astype(int) - smooth
    )
    assert error.mean() < 6


@pytest.mark.parametrize("extension", ["jpeg", "png"])
def test_a_picture_of_1280x720(extension):
    large = cv2.resize(RGB, (1280, 720), interpolation=cv2.INTER_LINEAR)
    image = decode_compressed(extension, encode_compressed(large, extension))
    assert image.shape == (720, 1280, 3) and np.abs(image.astype(int) - large).mean() < 3


@pytest.mark.parametrize(
    "message_format, data, named",
    [
        ("tiff", b"x", "neither JPEG nor PNG"),
        ("16UC1; compressedDepth png", encode_compressed(RGB, "png"), "neither JPEG nor PNG"),
        ("jpeg", b"", "neither JPEG nor PNG"),
        ("jpeg", b"no image", "neither JPEG nor PNG"),
        ("jpeg", b"\xff\xd8", "cannot be decoded"),
        ("jpeg", encode_compressed(RGB, "jpeg")[:-20], "cannot be decoded"),
        ("png", encode_compressed(RGB, "png")[:-20], "cannot be decoded"),
        ("png", encode_compressed(RGB, "png")[:20], "cannot be decoded"),
    ],
)
def test_undecodable_compressed_images_are_named(message_format, data, named):
    with pytest.raises(JepaError, match=f"{message_format.split(';')[0]}.*{named}"):
        decode_compressed(message_format, data)


@pytest.mark.parametrize("extension", ["jpeg", "png"])
def test_a_damaged_size_is_refused_before_memory_is_taken(extension):
    data = bytearray(encode_compressed(RGB, extension))
    size = struct.pack(">II", 5, 6) if extension == "png" else struct.pack(">HH", 6, 5)
    at = data.index(size)
    data[at : at + len(size)] = b"\x00\x00\xf0\x00" * 2 if extension == "png" else b"\xf0\x00\xf0\x00"
    with pytest.raises(JepaError, match=f"{extension}.*claims {0xF000**2} pixels"):
        decode_compressed(extension, bytes(data))


def test_resize_crops_the_centre_to_the_aspect():
    wide = np.zeros((48, 64, 3), np.uint8)
    wide[:, :8], wide[:, -8:] = 255, 255  # beside the centre square
    small = resize(wide, (16, 16))
    assert small.shape == (16, 16, 3)
    assert small.max() == 0


def test_resize_averages_areas():
    stripes = np.zeros((32, 32, 3), np.uint8)
    stripes[:, ::2] = 200
    assert np.all(resize(stripes, (8, 8)) == 100)


def test_resize_keeps_an_image_of_the_right_size():
    assert resize(RGB, (6, 5)) is RGB


@pytest.mark.parametrize("image", [RGB[..., 0], RGB.astype(np.float32), np.zeros((0, 4, 3), np.uint8)])
def test_only_uint8_rgb_is_resized(image):
    with pytest.raises(JepaError, match="uint8 RGB"):
        resize(image, (4, 4))


def test_read_image_file(tmp_path):
    (tmp_path / "goal.png").write_bytes(encode_compressed(RGB, "png"))
    assert np.array_equal(read_image(tmp_path / "goal.png"), RGB)
    (tmp_path / "bad.png").write_bytes(b"nothing")
    with pytest.raises(JepaError, match="bad.png"):
        read_image(tmp_path / "bad.png")

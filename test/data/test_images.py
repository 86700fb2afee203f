"""Images to and from ROS messages."""

import array

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
        (("yuv422", 6, 5, 15, bytes(90)), "yuv422"),
        (("rgb8", 6, 5, 15, bytes(89)), "89 bytes"),
        (("rgb8", 6, 5, 14, bytes(90)), "step 14"),
        (("rgb8", 0, 5, 15, bytes(90)), "height 0"),
    ],
)
def test_wrong_images_are_named(arguments, named):
    with pytest.raises(JepaError, match=named):
        decode_image(*arguments)


@pytest.mark.parametrize("message_format", ["png", "rgb8; png compressed bgr8"])
def test_png_is_exact(message_format):
    assert np.array_equal(decode_compressed(message_format, encode_compressed(RGB, "png")), RGB)


def test_jpeg_is_close():
    smooth = np.repeat(np.repeat(RGB, 16, axis=0), 16, axis=1)
    error = np.abs(decode_compressed("jpeg", encode_compressed(smooth, "jpeg", 95)).astype(int) - smooth)
    assert error.mean() < 6


@pytest.mark.parametrize(
    "message_format, data",
    [("tiff", b"x"), ("16UC1; compressedDepth png", b"x"), ("jpeg", b""), ("jpeg", b"no image")],
)
def test_undecodable_compressed_images_are_named(message_format, data):
    with pytest.raises(JepaError, match=message_format.split(";")[0]):
        decode_compressed(message_format, data)


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

"""The layout of Tensor messages: element types, and bytes to arrays. Row-major, little-endian."""

import math

import numpy as np

from jepa_ros.errors import JepaError

DTYPES = {
    name: np.dtype(name).newbyteorder("<")
    for name in (
        "bool",
        "int8",
        "uint8",
        "int16",
        "uint16",
        "int32",
        "uint32",
        "int64",
        "uint64",
        "float16",
        "float32",
        "float64",
    )
}


def tensor_array(msg) -> np.ndarray:
    """The array a Tensor message holds (rclpy's or rosbags'): a read-only view of the message's data, valid
    as long as the message lives.

    Raises JepaError naming the tensor where dtype, shape and data contradict each other.
    """
    dtype = DTYPES.get(msg.dtype)
    if dtype is None:
        raise JepaError(f"tensor {msg.name!r}: dtype {msg.dtype!r} is unknown; known: {', '.join(DTYPES)}")
    shape = tuple(int(extent) for extent in msg.shape)
    expected = math.prod(shape) * dtype.itemsize
    if len(msg.data) != expected:
        raise JepaError(
            f"tensor {msg.name!r}: {len(msg.data)} bytes of data, but {msg.dtype} of shape {shape} "
            f"takes {expected}; the sender is broken or another version"
        )
    try:
        values = np.frombuffer(msg.data, dtype).reshape(shape)
    except ValueError as error:  # more dimensions or longer ones than an array can have
        raise JepaError(f"tensor {msg.name!r}: {error}; the sender is broken") from None
    values.flags.writeable = False
    return values

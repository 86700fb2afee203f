"""NumPy arrays to Tensor messages and back.

Data is row-major little-endian. The message field is filled from ``array.array`` and read with ``np.frombuffer``:
lists and ndarrays are up to a hundred times slower there.
"""

import array
import math

import numpy as np

from jepa_ros.errors import JepaError
from jepa_ros.msg import Tensor

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


def to_msg(name: str, values: np.ndarray) -> Tensor:
    """The Tensor that holds ``values``, of any shape, memory order and byte order; copies the data once or twice.

    name: what it holds, for error messages.  Raises JepaError for an element type the message does not carry.
    """
    values = np.asarray(values)
    dtype = DTYPES.get(values.dtype.name)
    if dtype is None:
        raise JepaError(
            f"tensor {name!r}: dtype {values.dtype} cannot be sent; convert to one of {', '.join(DTYPES)}"
        )
    msg = Tensor(name=name, dtype=values.dtype.name, shape=array.array("I", values.shape))
    data = array.array("B")
    data.frombytes(np.ascontiguousarray(values, dtype).tobytes())
    msg.data = data
    return msg


def from_msg(msg: Tensor) -> np.ndarray:
    """The array a Tensor holds: a read-only view of the message's data, valid as long as the message lives.

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
    values = np.frombuffer(msg.data, dtype).reshape(shape)
    values.flags.writeable = False
    return values

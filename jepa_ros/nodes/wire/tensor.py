"""NumPy arrays to Tensor messages and back; the layout is that of data/tensors.py.

The message field is filled from ``array.array``: lists and ndarrays are up to a hundred times slower there.
"""

import array

import numpy as np

from jepa_ros.data.tensors import DTYPES
from jepa_ros.data.tensors import tensor_array as from_msg
from jepa_ros.errors import JepaError
from jepa_ros.msg import Tensor

__all__ = ["DTYPES", "from_msg", "to_msg"]


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

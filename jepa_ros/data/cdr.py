"""What can be read from serialised messages without their types."""

import struct


def header_stamp_ns(data: bytes | memoryview) -> int:
    """Integer ns of a std_msgs/Header at the start of CDR bytes; 0 where they are too short."""
    if len(data) < 12:
        return 0
    seconds, rest = struct.unpack_from("<iI" if data[1] & 1 else ">iI", data, 4)
    return seconds * 10**9 + rest

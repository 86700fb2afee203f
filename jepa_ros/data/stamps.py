"""Stamps of messages as numbers."""


def nanoseconds(stamp) -> int:
    """Of a builtin_interfaces/Time, of ROS or of a bag; of one before 1970 too, which rclpy's Time refuses."""
    return stamp.sec * 10**9 + stamp.nanosec


def stamp_ns(message) -> int:
    """Integer nanoseconds of a message's header stamp."""
    return nanoseconds(message.header.stamp)

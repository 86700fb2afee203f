"""Message classes by the name of their type."""

import importlib


def message_class(kind: str) -> type | None:
    """The class of a type such as "sensor_msgs/msg/Image"; None where its package is not installed."""
    try:
        package, _, name = kind.split("/")
        return getattr(importlib.import_module(f"{package}.msg"), name)
    except (ImportError, ValueError, AttributeError):
        return None

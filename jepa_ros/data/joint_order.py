"""The joints of an ActionSpec, picked out of messages that name theirs in any order, others among them."""

from collections.abc import Sequence

import numpy as np

from jepa_ros.data.action_spec import ActionSpec


class JointOrder:
    """Remembers every order of names that came. orders: names to indices, None where a joint lacks."""

    def __init__(self, spec: ActionSpec):
        self.names = spec.joint_names
        self.orders: dict[tuple[str, ...], list[int] | None] = {}

    def pick(self, names: Sequence[str], values: np.ndarray) -> np.ndarray | None:
        """(A,) values in spec order; None where the message lacks a joint. ValueError where it has not as many
        values as names."""
        key = tuple(names)
        if key not in self.orders:
            self.orders[key] = [key.index(n) for n in self.names] if set(self.names) <= set(key) else None
        order = self.orders[key]
        if order is None:
            return None
        if len(values) != len(key):
            raise ValueError(f"{len(values)} positions for {len(key)} joint names; check its publisher")
        return values[order]

    def complaint(self) -> str:
        """Which joints lack, and what the messages name instead."""
        seen = next((k for k, order in self.orders.items() if order is None), ())
        missing = [n for n in self.names if n not in seen]
        return (
            f"joints {missing} are missing; the messages name {list(seen)}. "
            "Read with the ActionSpec of this robot, or correct its joint names"
        )

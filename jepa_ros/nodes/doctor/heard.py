"""What was seen and heard in the listening window, as plain data: the checks need no ROS. No ROS import here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Endpoint:
    """A publisher or subscriber of a topic. node: full name.  kind: such as "sensor_msgs/msg/Image"."""

    node: str
    kind: str
    reliable: bool = True
    latched: bool = False


@dataclass
class Stream:
    """Messages of one topic. received: steady s.  stamp, system, simulated: ns of the header, of the system clock and
    of /clock at receipt (0: there was none).  newest: the last message, decoded; None where it could not be."""

    received: list[float] = field(default_factory=list)
    stamp: list[int] = field(default_factory=list)
    system: list[int] = field(default_factory=list)
    simulated: list[int] = field(default_factory=list)
    size_bytes: int = 0
    newest: object = None

    @property
    def rate_hz(self) -> float:
        """Messages per second; 0 for fewer than two."""
        span = self.received[-1] - self.received[0] if len(self.received) > 1 else 0.0
        return (len(self.received) - 1) / span if span > 0 else 0.0

    @property
    def longest_gap_s(self) -> float:
        """Longest time between two messages."""
        return float(np.diff(self.received).max()) if len(self.received) > 1 else 0.0

    def ages_s(self, use_sim_time: bool) -> np.ndarray:
        """(n,) s from stamp to receipt, on the clock that the nodes use; negative: from the future."""
        now = np.array(self.simulated if use_sim_time else self.system, np.int64)
        return 1e-9 * (now - np.array(self.stamp, np.int64))[now > 0]


@dataclass
class Heard:
    """seconds: how long it was listened.  publishers, subscribers: absolute topic name to its endpoints.
    streams: topic to its messages.  clock: (steady s, ns of /clock).  topics: every topic of the domain to its types.
    nodes: full names of all other nodes.  parameters: full node name to values, of the graph's nodes that run.
    said: full node name to (level, message) of its last diagnostics; level as diagnostic_msgs/DiagnosticStatus.
    """

    seconds: float = 0.0
    publishers: Mapping[str, Sequence[Endpoint]] = field(default_factory=dict)
    subscribers: Mapping[str, Sequence[Endpoint]] = field(default_factory=dict)
    streams: dict[str, Stream] = field(default_factory=dict)
    clock: list[tuple[float, int]] = field(default_factory=list)
    topics: Mapping[str, Sequence[str]] = field(default_factory=dict)
    nodes: Sequence[str] = ()
    parameters: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    said: dict[str, tuple[int, str]] = field(default_factory=dict)
    description: str = ""

    def stream(self, topic: str) -> Stream:
        """Of a topic; empty where nothing came."""
        return self.streams.get(topic, Stream())

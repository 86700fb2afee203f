"""Every quality of service in one place, and why.

Embeddings, candidates, rollouts, costs and plans are RELIABLE with a queue of one: only the newest counts,
but that one must arrive (best effort loses most messages above about 500 kB on default Fast DDS). Goals are
latched, so that a restarted `cost` or `planner` still finds the goal. A recorder takes what is offered, and waits in
a deep queue.
"""

from collections.abc import Iterable

from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

LATENT = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)
PLAN = QoSProfile(depth=2, reliability=ReliabilityPolicy.RELIABLE)
GOAL = QoSProfile(
    depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL
)
GOAL_READER = QoSProfile(
    depth=4, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL
)
STATUS = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)
COMMAND = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)
# Best effort is the reader that fits every driver.
JOINT_STATES = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
JOINT_STATES_OUT = QoSProfile(depth=5, reliability=ReliabilityPolicy.RELIABLE)
CLOCK = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
# With a depth of 1 Fast DDS 2.14 sometimes sent no more images to anybody, old or restarted, once a reader was killed.
IMAGE_OUT = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)


def image(reliability: str) -> QoSProfile:
    """The reader of a camera, "reliable" or "best_effort": reliable never meets a best-effort camera, best
    effort loses large images."""
    policy = ReliabilityPolicy.RELIABLE if reliability == "reliable" else ReliabilityPolicy.BEST_EFFORT
    return QoSProfile(depth=1, reliability=policy)


def recorder(offered: Iterable[QoSProfile]) -> QoSProfile:
    """The reader that loses least and still meets every publisher: reliable if all are, latched if all are."""
    offered = list(offered)
    reliable = all(q.reliability == ReliabilityPolicy.RELIABLE for q in offered)
    latched = all(q.durability == DurabilityPolicy.TRANSIENT_LOCAL for q in offered)
    return QoSProfile(
        depth=500,
        reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE,
    )

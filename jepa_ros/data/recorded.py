"""What a bag holds of the graph that was recorded: goals, plans, embeddings, and when each topic's messages came."""

from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class TopicLog:
    """When a topic's messages came. log_ns, stamp_ns: (n,) int64, stamp 0 without a header.  size_bytes: (n,)."""

    topic: str
    msgtype: str
    log_ns: np.ndarray
    stamp_ns: np.ndarray
    size_bytes: np.ndarray


@dataclass(frozen=True)
class RecordedGoal:
    """A goal that was published. latent: (D,) float32.  part_of: id of the goal that it is a sub-goal of, "" where it is
    none."""

    log_ns: int
    stamp_ns: int
    goal_id: str
    encoder_id: str
    latent: np.ndarray
    part_of: str = ""

    @property
    def pursuit(self) -> str:
        """Id of what the planner was asked for: a goal, with all of its sub-goals."""
        return self.part_of or self.goal_id


@dataclass(frozen=True)
class RecordedPlan:
    """A plan that was published. stamp_ns: of its image.  actions: (N, A) rad.  predicted: (D,) or empty.  proprio: (A,) rad,
    empty where it started from none, the bag is from before plans told theirs, or they are damaged."""

    log_ns: int
    stamp_ns: int
    plan_id: str
    goal_id: str
    model_id: str
    joint_names: tuple[str, ...]
    actions: np.ndarray
    predicted: np.ndarray
    expected_cost: float
    proprio: np.ndarray = field(default_factory=lambda: np.zeros(0))


@dataclass(frozen=True)
class RecordedEmbedding:
    """An image's latent (D,) float32 as the live encoder published it. encoded_ns: stamp of the image that has exactly
    this latent, which is an earlier one where the encoder skipped this image."""

    log_ns: int
    stamp_ns: int
    encoder_id: str
    latent: np.ndarray
    encoded_ns: int

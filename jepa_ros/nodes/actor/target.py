"""What a goal asks for, read once: its sub-goals and itself as latents, and how near is near enough."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from sensor_msgs.msg import Image

from jepa_ros.action import ReachGoal
from jepa_ros.errors import JepaError
from jepa_ros.msg import Embedding, Goal
from jepa_ros.nodes.wire import tensor

THE_GOAL = "the goal"


class EncoderSilent(JepaError):
    """The goal image was not encoded in time."""


@dataclass(frozen=True)
class Target:
    """What to reach. goals: the sub-goals in their order, the goal last; each has an id of its own.  latents: (M, D),
    theirs.  tolerance: latent distance that counts as reached.  sub_goal_tolerance: that passes a sub-goal.
    timeout_s: give up then."""

    goals: tuple[Goal, ...]
    latents: np.ndarray
    tolerance: float
    sub_goal_tolerance: float
    timeout_s: float

    @property
    def goal_id(self) -> str:
        """Of the goal."""
        return self.goals[-1].goal_id

    @property
    def encoder_id(self) -> str:
        """The checkpoint that the latents are of."""
        return self.goals[-1].embedding.encoder_id


def read_request(
    request: ReachGoal.Goal, goal_id: str, encode: Callable[[Image], Embedding]
) -> dict[str, Goal]:
    """What a ReachGoal asks for, by name: its sub-goals in their order, then THE_GOAL. A sub-goal's id is the goal's and
    its own number.

    encode: an image's embedding. JepaError names the field that cannot be used, and its place in the list.
    """
    for name in ("tolerance", "timeout_s", "sub_goal_tolerance"):
        if not 0 <= getattr(request, name) < math.inf:
            raise JepaError(f"{name} is {getattr(request, name)}; it must be finite, and 0 takes the default")
    used, unused = "sub_goal_images", "sub_goal_embeddings"
    if request.use_embedding:
        used, unused = unused, used
    if getattr(request, unused):
        raise JepaError(
            f"{unused} are given while use_embedding is {str(request.use_embedding).lower()}; give {used}"
        )
    asked = {f"{used}[{i}]": given for i, given in enumerate(getattr(request, used))}
    asked[THE_GOAL] = request.goal_embedding if request.use_embedding else request.goal_image
    if not request.use_embedding:
        asked = {name: _encoded(name, image, encode) for name, image in asked.items()}
    goals = {
        name: Goal(header=it.header, goal_id=f"{goal_id}.{i}", part_of=goal_id, embedding=it)
        for i, (name, it) in enumerate(asked.items())
    }
    goals[THE_GOAL].goal_id, goals[THE_GOAL].part_of = goal_id, ""
    return goals


def read_latents(goals: Mapping[str, Goal], width: int) -> np.ndarray:
    """(M, D) of goals by name; JepaError where one has not ``width`` finite numbers, or not the last one's checkpoint."""
    latents, (*_, last) = [], goals.values()
    for name, goal in goals.items():
        try:
            latent = tensor.from_msg(goal.embedding.latent).reshape(-1)
        except JepaError as error:
            raise JepaError(f"{name}: {error}") from error
        if latent.size != width:
            raise JepaError(
                f"{name}: its embedding has {latent.size} numbers, the checkpoint's latent {width}; encode the image with "
                "this checkpoint"
            )
        if not math.isfinite(float(abs(latent).sum())):
            raise JepaError(f"{name}: its embedding holds NaN or Inf")
        if goal.embedding.encoder_id != last.embedding.encoder_id:
            raise JepaError(
                f"{name} is of checkpoint {goal.embedding.encoder_id!r}, the goal of {last.embedding.encoder_id!r}; encode "
                "all with one checkpoint"
            )
        latents.append(latent)
    return np.stack(latents)


def _encoded(name: str, image: Image, encode: Callable[[Image], Embedding]) -> Embedding:
    try:
        return encode(image)
    except EncoderSilent:
        raise
    except JepaError as error:
        raise JepaError(f"{name}: {error}") from error

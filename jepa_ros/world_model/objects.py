"""What stays while the arm moves: where the things lie that it can push about, and how to bring them where a goal has them."""

from torch import Tensor, nn

from jepa_ros.data.action_spec import ActionSpec
from jepa_ros.world_model.critic import Critic
from jepa_ros.world_model.policy import ChunkPolicy

ARRIVED = 0.75
"""Distance of features, in standard deviations over the recorded episodes, within which things are in place."""


class Objects(nn.Module):
    """``features`` of a latent, learned to be slow (slow feature analysis, Wiskott and Sejnowski 2002): the arm, which moves
    all the time, is not in them; a cube, which lies where it lies until it is pushed, is.

    A critic and a policy of their own, towards the features of a goal: wherever the arm is at the end. That the arm already
    looks as in the goal image does not count while the cube is elsewhere.
    """

    def __init__(
        self,
        latent_dim: int,
        context: int,
        spec: ActionSpec,
        size: int,
        width: int,
        depth: int,
        policy_width: int,
        hypotheses: int,
        horizon: int,
        gamma: float,
        proprioception: bool = True,
    ):
        """size: M, how many features."""
        super().__init__()
        self.size = size
        self.features = nn.Sequential(
            nn.Linear(latent_dim, width),
            nn.SiLU(),
            nn.Linear(width, width),
            nn.SiLU(),
            nn.Linear(width, size),
        )
        self.critic = Critic(latent_dim, width, depth, gamma, goal_dim=size)
        self.chunks = ChunkPolicy(
            latent_dim, context, spec, hypotheses, horizon, policy_width, depth, proprioception, goal_dim=size
        )

    def offset(self, latents: Tensor, goal: Tensor) -> Tensor:
        """How far things are from where the goal has them, (..., D) and (..., D) -> (...): a distance of features."""
        return (self.features(latents) - self.features(goal)).norm(dim=-1)

    def in_place(self, latents: Tensor, goal: Tensor) -> Tensor:
        """Whether they are where the goal has them, (..., D) and (..., D) -> (...) bool."""
        return are_near(self.features(latents), self.features(goal))

    def blocks(self, latents: Tensor, goal: Tensor) -> Tensor:
        """Blocks until they are in place, (..., D) and (..., D) -> (...): 0 where they are."""
        here, there = self.features(latents), self.features(goal)
        to_go = self.critic.blocks(latents, there, here)
        return to_go.masked_fill(are_near(here, there), 0.0)

    def policy(self, latents: Tensor, joints: Tensor, past_actions: Tensor, goal: Tensor) -> Tensor:
        """As Heads.policy, with normalised joints (B, T, A): -> (B, N, H, KA) rad."""
        there, here = self.features(goal), self.features(latents[:, -1])
        return self.chunks(latents, joints, past_actions, there, here)


def are_near(here: Tensor, there: Tensor) -> Tensor:
    """Whether features (..., M) and (..., M) are those of things in the same place, (...) bool."""
    return (here - there).norm(dim=-1) < ARRIVED

"""Heads on the frozen world model's latents: how many blocks to a goal, which actions lead there, what stays while the arm
moves, and what several blocks bring at once."""

from dataclasses import asdict, dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from jepa_ros.data.action_spec import ActionSpec
from jepa_ros.errors import JepaError
from jepa_ros.world_model.critic import Critic
from jepa_ros.world_model.objects import Objects
from jepa_ros.world_model.policy import ChunkPolicy
from jepa_ros.world_model.quasimetric import Quasimetric
from jepa_ros.world_model.slow_level import SlowLevel


@dataclass(frozen=True)
class HeadsConfig:
    """The architecture. width, policy_width, depth: of the heads' residual networks.

    components, component_size: of the quasimetric.  gamma: discount of the critic, per block.
    hypotheses: N.  horizon: H, in blocks.  proprioception: whether the policy sees joint positions.
    stride: blocks of a step of the slow level; 0: there is none.  macro: U, the width of its actions.
    objects: M, features of what stays while the arm moves; 0: there are none.  object_width, object_policy_width,
    object_depth, object_gamma: of their networks.
    """

    width: int = 128
    policy_width: int = 256
    depth: int = 2
    components: int = 8
    component_size: int = 16
    gamma: float = 0.95
    hypotheses: int = 8
    horizon: int = 5
    proprioception: bool = True
    stride: int = 0
    macro: int = 8
    objects: int = 0
    object_width: int = 256
    object_policy_width: int = 384
    object_depth: int = 3
    object_gamma: float = 0.92

    def __post_init__(self):
        for name in (
            "width",
            "policy_width",
            "depth",
            "components",
            "component_size",
            "hypotheses",
            "horizon",
            "stride",
            "macro",
            "objects",
            "object_width",
            "object_policy_width",
            "object_depth",
        ):
            value, least = getattr(self, name), int(name not in ("stride", "objects"))
            if not (isinstance(value, int) and value >= least):
                raise JepaError(f"heads {name} is {value}; it must be a whole number from {least}")
        for name in ("gamma", "object_gamma"):
            if not 0 < getattr(self, name) < 1:
                raise JepaError(f"heads {name} is {getattr(self, name)}; it must lie between 0 and 1")

    def to_dict(self) -> dict:
        """A JSON-serialisable dict."""
        return asdict(self)


class Context(Protocol):
    """What a planner's short-term memory gives: float32 latents (T, D), proprio (T, A) rad, actions (T-1, KA) rad."""

    latents: np.ndarray
    proprio: np.ndarray
    actions: np.ndarray


class Heads(nn.Module):
    """``distance`` and ``value`` of latents for a goal latent, ``policy`` towards it; ``slow``: the slow level, or None;
    ``objects``: what stays while the arm moves, or None.

    They take the latents of one world model, in physical units otherwise; latent_dim D and context T are the model's.
    The buffers ``proprio_mean`` and ``proprio_std`` (A,) are too.
    """

    def __init__(self, config: HeadsConfig, latent_dim: int, context: int, spec: ActionSpec):
        super().__init__()
        self.config, self.latent_dim, self.context, self.spec = config, latent_dim, context, spec
        sizes = config.width, config.depth
        self.quasimetric = Quasimetric(latent_dim, *sizes, config.components, config.component_size)
        self.critic = Critic(latent_dim, *sizes, config.gamma)
        self.chunks = ChunkPolicy(
            latent_dim,
            context,
            spec,
            config.hypotheses,
            config.horizon,
            config.policy_width,
            config.depth,
            config.proprioception,
        )
        self.slow = (
            SlowLevel(latent_dim, spec, config.stride, config.macro, config.policy_width, config.depth)
            if config.stride
            else None
        )
        self.objects = (
            Objects(
                latent_dim,
                context,
                spec,
                config.objects,
                config.object_width,
                config.object_depth,
                config.object_policy_width,
                config.hypotheses,
                config.horizon,
                config.object_gamma,
                config.proprioception,
            )
            if config.objects
            else None
        )
        self.register_buffer("proprio_mean", torch.zeros(spec.dim))
        self.register_buffer("proprio_std", torch.ones(spec.dim))

    @property
    def device(self) -> torch.device:
        """Where its inputs must be."""
        return self.proprio_mean.device

    def distance(self, latents: Tensor, goal: Tensor) -> Tensor:
        """Blocks to go from latents (..., D) to goal (D,) or (..., D) -> (...): a quasimetric, 0 at the goal, another
        for the way back."""
        return self.quasimetric(latents, goal)

    def value(self, latents: Tensor, goal: Tensor) -> Tensor:
        """gamma to the power of blocks to go, (..., D) and goal (D,) or (..., D) -> (...) in (0, 1]."""
        return self.critic(latents, goal)

    def policy(self, latents: Tensor, proprio: Tensor, past_actions: Tensor, goal: Tensor) -> Tensor:
        """latents (B, T, D), proprio (B, T, A) rad, past_actions (B, T-1, KA) rad, goal (B, D) -> N hypotheses of the next
        H blocks (B, N, H, KA) rad, within the action bounds. Where the goal is nearer, no motion at its end."""
        return self.chunks(latents, self.joints(proprio), past_actions, goal)

    def joints(self, proprio: Tensor) -> Tensor:
        """Joint positions (..., A) rad, normalised."""
        return (proprio - self.proprio_mean) / self.proprio_std

    @torch.inference_mode()
    def propose(self, context: Context, goal: np.ndarray) -> tuple[np.ndarray, bool]:
        """What the policy would do from a planner's context, for a goal latent (D,) -> (N, H, KA) float32 rad, and whether
        things come first: while they are not in place, it is the policy's that brings them there."""
        arrays = context.latents, context.proprio, context.actions, goal
        latents, proprio, past, target = (
            torch.tensor(x, dtype=torch.float32, device=self.device)[None] for x in arrays
        )
        things_first = self.objects is not None and not self.objects.in_place(latents[:, -1], target).item()
        if things_first:
            found = self.objects.policy(latents, self.joints(proprio), past, target)
        else:
            found = self.policy(latents, proprio, past, target)
        lower, upper = (np.tile(bound, self.spec.block) for bound in (self.spec.lower, self.spec.upper))
        return np.clip(found[0].cpu().numpy(), lower, upper).astype(np.float32), things_first

    @torch.inference_mode()
    def foresee(
        self, context: Context, goal: np.ndarray, macros: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Where macro-actions (S, M, U) of the slow level lead from a planner's newest latent: the latent after the first of
        them (S, D) float32, and the blocks to go to a goal latent (D,), before the first and after every one (S, M + 1)."""
        latent, target, actions = (
            torch.tensor(x, dtype=torch.float32, device=self.device)
            for x in (context.latents[-1], goal, macros)
        )
        path = self.slow.unroll(latent.expand(len(actions), -1), actions)
        path = torch.cat([latent.expand(len(actions), 1, -1), path], 1)
        return path[:, 1].cpu().numpy(), self.distance(path, target).cpu().numpy()

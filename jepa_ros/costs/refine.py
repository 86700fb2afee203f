"""Gradient refinement: candidates follow the energy's gradient through the world model, within their bounds."""

from collections.abc import Callable, Sequence

import numpy as np
import torch

from jepa_ros.costs.energy import Energy
from jepa_ros.costs.rollouts import Rollouts
from jepa_ros.data.action_spec import ActionSpec
from jepa_ros.world_model.model import WorldModel


@torch.inference_mode(False)
def refine(
    network: WorldModel,
    energy: Energy,
    context: Sequence[np.ndarray],
    goal: np.ndarray,
    actions: np.ndarray,
    reduction: str,
    spec: ActionSpec,
    steps: int,
    rate: float,
    is_late: Callable[[], bool] = lambda: False,
) -> np.ndarray:
    """actions (S, H, KA) rad -> for each, the one of least energy met in so many steps of Adam, float32.

    network: in torch, its weights frozen.  context: latents (T, D), proprio (T, A) rad, past_actions (T-1, KA) rad.
    goal: (D,).  spec: whose action bounds hold.  rate: of a step, a fraction of half their range.  is_late: asked after
    every step, whether that was the last. Every action is a free variable, clamped to its bounds after a step (projected
    gradient). Candidates do not share statistics: each goes its own way.
    """
    device = network.device
    lower, upper = (
        torch.tensor(bound, device=device).repeat(spec.block) for bound in (spec.lower, spec.upper)
    )
    centre, reach = (lower + upper) / 2, (upper - lower) / 2
    target = torch.tensor(goal, dtype=torch.float32, device=device)
    fixed = [torch.tensor(x, dtype=torch.float32, device=device) for x in context]
    draws = network.draws(np.shape(actions)[1])
    start = torch.tensor(actions, dtype=torch.float32, device=device)
    shares = ((start - centre) / reach).clamp(-1, 1).requires_grad_(True)
    best, least = shares.detach().clone(), torch.full((len(actions),), torch.inf, device=device)
    adam = torch.optim.Adam([shares], lr=rate)
    with torch.enable_grad():
        for step in range(steps + 1):
            blocks = centre + reach * shares
            latents, proprio = network.imagine_candidates(*fixed, blocks, draws)
            totals = energy.differentiable(Rollouts(latents, proprio, blocks), target, reduction).totals
            with torch.no_grad():
                better = totals < least
                least = torch.where(better, totals, least)
                best[better] = shares[better]
            if step == steps or is_late():
                break
            adam.zero_grad()
            totals.sum().backward()
            # At the goal itself the root in goal_distance has no slope.
            shares.grad.nan_to_num_(0.0, 0.0, 0.0)
            adam.step()
            with torch.no_grad():
                shares.clamp_(-1, 1)
    return (centre + reach * best).cpu().numpy()

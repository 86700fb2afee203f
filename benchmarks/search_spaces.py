"""Which search space lets few candidates reach a goal: closed loop with perfect dynamics, printed as a table.

A toy arm of 6 joints follows its commands exactly; the cost is the true distance in joint space, squared or not, at
the end of every block, reduced along the horizon as the space asks. Success: within 15 blocks every joint is within
0.05 rad of the goal, and still is one block later. A space that fails here fails with any learned model.

    python benchmarks/search_spaces.py
    python benchmarks/search_spaces.py --set warm_std=0.1 samples=32 --spaces displacement --noise 0.1
"""

import argparse
import platform
import time
from dataclasses import replace

import numpy as np

from jepa_ros.data.action_spec import ActionSpec
from jepa_ros.planning.config import SOLVERS, SPACES, PlannerConfig
from jepa_ros.planning.receding_horizon import Planner
from jepa_ros.planning.protocols import REDUCTIONS

JOINTS = 6
SPEC = ActionSpec(joint_names=tuple(f"joint_{i}" for i in range(JOINTS)), lower=(-0.12,) * JOINTS,
                  upper=(0.12,) * JOINTS, position_lower=(-1.7,) * JOINTS, position_upper=(1.7,) * JOINTS, block=4)
BLOCKS, TOLERANCE, HELD_BLOCKS, LARGEST_MOVE = 15, 0.05, 2, 2.0


def rollout(position: np.ndarray, actions: np.ndarray) -> np.ndarray:
    """Joint positions (S, H, A) at the end of every block of actions (S, H, KA), from position (A,)."""
    samples, horizon, _ = actions.shape
    moves = actions.reshape(samples, horizon, SPEC.block, SPEC.dim).sum(axis=2)
    return np.clip(position + np.cumsum(moves, axis=1), SPEC.position_lower, SPEC.position_upper)


class Distance:
    """Cost: distance to the goal in joint space; ``ripple`` adds a fixed landscape of dents, as a learned model has."""

    def __init__(self, goal, squared, reduction, ripple, rng):
        self.goal, self.squared, self.reduction, self.ripple = goal, squared, reduction, ripple
        self.waves, self.phases = rng.normal(0, 8.0, (16, JOINTS)), rng.uniform(0, 2 * np.pi, 16)

    def at(self, position):
        """An evaluator for plans that start at position (A,)."""
        def evaluate(actions):
            positions = rollout(position, actions)
            distance = np.linalg.norm(positions - self.goal, axis=-1)
            if self.ripple:
                distance = distance + self.ripple * (1 + np.sin(positions @ self.waves.T + self.phases).mean(axis=-1))
            distance = distance**2 if self.squared else distance
            return {"sum": distance.sum, "min": distance.min, "last": lambda axis: distance[:, -1]}[self.reduction](
                axis=1)
        return evaluate


def run(config: PlannerConfig, squared: bool, reduction: str | None, episodes: int, ripple: float) -> dict:
    """Closed loop over random start and goal pairs, the same ones for every configuration."""
    planner = Planner(SPEC, config)
    successes, errors, blocks, seconds, plans = 0, [], [], 0.0, 0
    for episode in range(episodes):
        rng = np.random.default_rng([1000, episode])
        position = rng.uniform(-1.6, 1.6, JOINTS)
        goal = np.clip(position + rng.uniform(-LARGEST_MOVE, LARGEST_MOVE, JOINTS), -1.6, 1.6)
        cost = Distance(goal, squared, reduction or planner.reduction, ripple, rng)
        planner.reset(seed=episode)
        within = 0
        for block in range(BLOCKS):
            began = time.perf_counter()
            solution = planner.plan(cost.at(position), position)
            seconds, plans = seconds + time.perf_counter() - began, plans + 1
            position = rollout(position, solution.actions[None, :1])[0, 0]
            within = within + 1 if np.max(np.abs(position - goal)) < TOLERANCE else 0
            if within == HELD_BLOCKS:
                successes += 1
                blocks.append(block + 1)
                break
        errors.append(np.max(np.abs(position - goal)))
    return {"success": 100 * successes / episodes, "error": float(np.median(errors)),
            "blocks": float(np.median(blocks)) if blocks else float("nan"), "plan_ms": 1000 * seconds / plans}


def setting(text: str) -> tuple[str, object]:
    """"name=value" as a PlannerConfig field."""
    name, _, value = text.partition("=")
    kinds = {field: type(default) for field, default in PlannerConfig().to_dict().items()}
    if name not in kinds:
        raise argparse.ArgumentTypeError(f"unknown setting {name!r}; known: {', '.join(kinds)}")
    return name, kinds[name](value)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--episodes", type=int, default=100)
    parser.add_argument("--spaces", nargs="+", choices=SPACES, default=SPACES)
    parser.add_argument("--solvers", nargs="+", choices=SOLVERS, default=SOLVERS)
    parser.add_argument("--reductions", nargs="+", choices=REDUCTIONS, default=[None],
                        help="instead of the space's own")
    parser.add_argument("--noise", type=float, default=0.0, help="depth of dents in the cost, rad of distance")
    parser.add_argument("--set", nargs="+", type=setting, default=[], metavar="NAME=VALUE", help="PlannerConfig fields")
    arguments = parser.parse_args()
    base = PlannerConfig(**dict(arguments.set))
    print(f"{platform.machine()} {platform.system()}, Python {platform.python_version()}, NumPy {np.__version__}")
    print(f"{arguments.episodes} episodes, {base.samples} x {base.iterations} candidates, horizon {base.horizon}, "
          f"K {SPEC.block}, bound 0.12 rad, dents {arguments.noise} rad")
    print(f"{'space':14}{'solver':8}{'distance':10}{'reduced':9}{'success %':>10}{'median error rad':>18}"
          f"{'median blocks':>15}{'plan ms':>9}")
    for space in arguments.spaces:
        for solver in arguments.solvers:
            for squared in (False, True):
                for reduction in arguments.reductions:
                    config = replace(base, space=space, solver=solver)
                    row = run(config, squared, reduction, arguments.episodes, arguments.noise)
                    reduced = reduction or Planner(SPEC, config).reduction
                    print(f"{space:14}{solver:8}{'squared' if squared else 'L2':10}{reduced:9}{row['success']:10.0f}"
                          f"{row['error']:18.4f}{row['blocks']:15.0f}{row['plan_ms']:9.2f}", flush=True)


if __name__ == "__main__":
    main()

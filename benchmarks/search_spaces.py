"""Which search space lets few candidates reach a goal: closed loop with perfect dynamics, printed as a table.

A toy arm of 6 joints follows its commands exactly. The cost is a distance in joint space, squared or not, at
the end of every block, reduced along the horizon as the space asks; three landscapes: exact, skewed as a
latent space skews it, and skewed with dents. Success: every joint within 0.05 rad of the goal for 2 blocks in
a row, within 15 blocks. A space that fails with the exact distance fails with any learned model.

    python benchmarks/search_spaces.py
    python benchmarks/search_spaces.py --set warm_std=0.1 samples=32 --spaces displacement
"""

import argparse
import platform
import time
from dataclasses import replace
from itertools import product

import numpy as np

from jepa_ros.data.action_spec import ActionSpec
from jepa_ros.planning.config import SOLVERS, SPACES, PlannerConfig
from jepa_ros.planning.protocols import REDUCTIONS
from jepa_ros.planning.receding_horizon import Planner

JOINTS = 6
SPEC = ActionSpec(
    joint_names=tuple(f"joint_{i}" for i in range(JOINTS)),
    lower=(-0.12,) * JOINTS,
    upper=(0.12,) * JOINTS,
    block=4,
    position_lower=(-1.7,) * JOINTS,
    position_upper=(1.7,) * JOINTS,
)
# name: (dents, skew)
LANDSCAPES = {"exact": (0.0, 1.0), "skew 10": (0.0, 10.0), "dents 0.1, skew 3": (0.1, 3.0)}
BLOCKS, TOLERANCE, HELD_BLOCKS, LARGEST_MOVE = 15, 0.05, 2, 2.0


def rollout(position: np.ndarray, actions: np.ndarray) -> np.ndarray:
    """Joint positions (S, H, A) at the end of every block of actions (S, H, KA), from position (A,)."""
    samples, horizon, _ = actions.shape
    moves = actions.reshape(samples, horizon, SPEC.block, SPEC.dim).sum(axis=2)
    return np.clip(position + np.cumsum(moves, axis=1), SPEC.position_lower, SPEC.position_upper)


class Distance:
    """Cost: distance to the goal in joint space, spoilt in two ways as a learned model spoils it.

    dents: depth (rad) of a fixed landscape of small dents, which can be false goals.
    skew: the joints' distances count along random axes with weights from 1 down to 1 / skew.
    """

    def __init__(self, goal, squared, reduction, dents, skew, rng):
        self.goal, self.squared, self.reduction, self.dents = goal, squared, reduction, dents
        self.waves, self.phases = rng.normal(0, 8.0, (16, JOINTS)), rng.uniform(0, 2 * np.pi, 16)
        axes = np.linalg.qr(rng.normal(size=(JOINTS, JOINTS)))[0]
        self.metric = np.geomspace(1, 1 / skew, JOINTS)[:, None] * axes

    def at(self, position):
        """An evaluator for plans that start at position (A,)."""

        def evaluate(actions):
            positions = rollout(position, actions)
            distance = np.linalg.norm((positions - self.goal) @ self.metric.T, axis=-1)
            if self.dents:
                waves = np.sin(positions @ self.waves.T + self.phases).mean(axis=-1)
                distance = distance + self.dents * (1 + waves)
            distance = distance**2 if self.squared else distance
            if self.reduction == "last":
                return distance[:, -1]
            return distance.sum(axis=1) if self.reduction == "sum" else distance.min(axis=1)

        return evaluate


def run(
    config: PlannerConfig, squared: bool, reduction: str, episodes: int, dents: float, skew: float
) -> dict:
    """Closed loop over random start and goal pairs, the same ones for every configuration."""
    planner = Planner(SPEC, config)
    successes, errors, blocks, seconds, plans = 0, [], [], 0.0, 0
    for episode in range(episodes):
        rng = np.random.default_rng([1000, episode])
        position = rng.uniform(-1.6, 1.6, JOINTS)
        goal = np.clip(position + rng.uniform(-LARGEST_MOVE, LARGEST_MOVE, JOINTS), -1.6, 1.6)
        cost = Distance(goal, squared, reduction, dents, skew, rng)
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
    return {
        "success": 100 * successes / episodes,
        "error": float(np.median(errors)),
        "blocks": float(np.median(blocks)) if blocks else float("nan"),
        "plan_ms": 1000 * seconds / plans,
    }


def setting(text: str) -> tuple[str, object]:
    """ "name=value" as a PlannerConfig field."""
    name, _, value = text.partition("=")
    kinds = {field: type(default) for field, default in PlannerConfig().to_dict().items()}
    if name not in kinds:
        raise argparse.ArgumentTypeError(f"unknown setting {name!r}; known: {', '.join(kinds)}")
    return name, kinds[name](value)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--episodes", type=int, default=100)
    parser.add_argument("--spaces", nargs="+", choices=SPACES, default=SPACES)
    parser.add_argument("--solvers", nargs="+", choices=SOLVERS, default=SOLVERS)
    parser.add_argument(
        "--reductions", nargs="+", choices=REDUCTIONS, default=[None], help="instead of the space's own"
    )
    parser.add_argument(
        "--set", nargs="+", type=setting, default=[], metavar="NAME=VALUE", help="PlannerConfig fields"
    )
    arguments = parser.parse_args()
    base = PlannerConfig(**dict(arguments.set))
    print(
        f"{platform.machine()} {platform.system()}, Python {platform.python_version()}, "
        f"NumPy {np.__version__}"
    )
    print(
        f"{arguments.episodes} episodes, {base.samples} x {base.iterations} candidates, "
        f"horizon {base.horizon}, K {SPEC.block}, bound 0.12 rad"
    )
    print("success %, median error (largest joint, rad), median blocks to success:")
    print(
        f"{'space':14}{'solver':8}{'distance':10}{'reduced':9}"
        + "".join(f"{name:>20}" for name in LANDSCAPES)
        + f"{'plan ms':>9}"
    )
    for space, solver, squared, reduction in product(
        arguments.spaces, arguments.solvers, (False, True), arguments.reductions
    ):
        config = replace(base, space=space, solver=solver)
        reduced = reduction or Planner(SPEC, config).reduction
        rows = [
            run(config, squared, reduced, arguments.episodes, dents, skew)
            for dents, skew in LANDSCAPES.values()
        ]
        print(
            f"{space:14}{solver:8}{'squared' if squared else 'L2':10}{reduced:9}"
            + "".join(f"{row['success']:7.0f}{row['error']:8.4f}{row['blocks']:5.0f}" for row in rows)
            + f"{rows[0]['plan_ms']:9.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()

"""What a solver itself costs: time per iteration with an evaluator that costs nothing. Prints its machine.

OMP_NUM_THREADS=1 python benchmarks/planning_overhead.py
"""

import argparse
import os
import platform
import time

import numpy as np

from jepa_ros.data.action_spec import ActionSpec
from jepa_ros.planning.config import SOLVERS, SPACES, PlannerConfig
from jepa_ros.planning.receding_horizon import Planner

SPEC = ActionSpec(
    joint_names=tuple(f"joint_{i}" for i in range(6)),
    lower=(-0.12,) * 6,
    upper=(0.12,) * 6,
    position_lower=(-1.7,) * 6,
    position_upper=(1.7,) * 6,
    block=4,
)


def processor() -> str:
    """The processor's name where the system tells it."""
    try:
        with open("/proc/cpuinfo") as lines:
            return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=64)
    parser.add_argument("--iterations", type=int, default=5)
    parser.add_argument("--horizon", type=int, default=5)
    parser.add_argument("--plans", type=int, default=300)
    arguments = parser.parse_args()
    print(
        f"{processor()}, {os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}, "
        f"NumPy {np.__version__}, OMP_NUM_THREADS={os.environ.get('OMP_NUM_THREADS', 'unset')}"
    )
    print(
        f"{arguments.samples} candidates x {arguments.iterations} iterations, horizon {arguments.horizon}, "
        f"{SPEC.dim} joints, K {SPEC.block}, {arguments.plans} plans; "
        "ms per iteration, everything of a plan included"
    )
    print(f"{'solver':8}{'space':14}{'median':>9}{'p95':>9}")
    costs = np.random.default_rng(0).random(arguments.samples)
    for solver in SOLVERS:
        for space in SPACES:
            planner = Planner(
                SPEC,
                PlannerConfig(
                    solver=solver,
                    space=space,
                    samples=arguments.samples,
                    iterations=arguments.iterations,
                    horizon=arguments.horizon,
                ),
            )
            times = []
            for _ in range(arguments.plans):
                began = time.perf_counter()
                planner.plan(lambda actions: costs, np.zeros(SPEC.dim))
                times.append(1000 * (time.perf_counter() - began) / arguments.iterations)
            print(f"{solver:8}{space:14}{np.median(times):9.3f}{np.percentile(times, 95):9.3f}")


if __name__ == "__main__":
    main()

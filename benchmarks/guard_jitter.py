"""The guard's publish period while the planner computes without pause.

    python benchmarks/guard_jitter.py --json docs/results/guard_jitter.json

The planner searches until its deadline in every block, and goals follow each other, so that the arm always moves. The
second row adds a busy process per core, at the guard's own priority. An interval counts from one tick's command to the
next, while the guard is RUNNING and its setpoint moves; the command that a new plan sends at once, between two ticks,
is told by the status that follows it, and is no tick. Jitter is the distance of an interval from the period, by when
the publisher's middleware sent the commands; where one was lost on its way here, there is no interval. Exit status 1 where the 99th percentile of the first row is above 10 ms.
"""

import argparse
import multiprocessing
import os
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from conclusion import conclude
from observer import Command, Observer
from process_watch import sample
from sim_graph import RunningGraph, running_graph

from jepa_ros.errors import JepaError
from jepa_ros.evaluation.statistics import percentile
from jepa_ros.safety.states import SafetyState
from jepa_ros.simulation.simulator import Simulator
from jepa_ros.simulation.tasks import make_task

BAR_MS = 10.0
GOAL_S = 3.0  # then the next one takes its place
NEVER = 1e-6  # a tolerance that no look is within
BUSY_PLANNER = {"iterations": 1000, "deadline_s": 0.3, "settle_s": 0.0}
SOONEST_S = 0.002
"""A tick so soon after a plan's own command sends nothing: that one was in its place."""


def tick_intervals(commands: list[Command], plans: set[float], period: float) -> list[tuple[float, float]]:
    """(by sending, by receipt) in s, of ticks that followed each other. plans: when plans sent theirs."""
    intervals, before, between, number = [], None, None, 0
    for command in commands:
        if command.number != number + 1:  # one was lost on the way here
            before = between = None
        number = command.number
        if command.sent in plans:
            between = command
            continue
        if before is not None and before.speed > 0 and command.state == SafetyState.RUNNING:
            if (
                between is not None
                and command.sent - before.sent > 1.5 * period
                and 0 < command.sent - between.sent - period + SOONEST_S < 2 * SOONEST_S
            ):
                before = between
            intervals.append((command.sent - before.sent, command.received - before.received))
        before, between = command, None
    return intervals


@contextmanager
def busy_cores(count: int):
    """So many processes that compute without end."""
    processes = [multiprocessing.Process(target=_compute, daemon=True) for _ in range(count)]
    for process in processes:
        process.start()
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.join()


def _compute() -> None:
    while True:
        sum(range(10_000))


def measure(running: RunningGraph, observer: Observer, seed: int, periods: int) -> dict:
    """Drive goal after goal until so many intervals were seen."""
    simulator = Simulator("reach", tuple(running.parameters("simulator", "image_height", "image_width")))
    task, began, number, clear = make_task("reach"), time.monotonic(), 0, time.time()
    cpu = {name: sample(pid)["cpu_s"] for name, pid in running.bringup.pids.items()}
    load, plans_before = os.times(), len(observer.plans)
    intervals = []
    while len(intervals) < periods:
        running.bringup.check()
        if time.monotonic() - began > 0.2 * periods + 60:
            raise JepaError(f"only {len(intervals)} periods of RUNNING; see the nodes' logs")
        _, goal = task.episode(seed + number)
        number += 1
        run = running.client.send_goal(simulator.goal_image(goal), tolerance=NEVER, timeout_s=60.0)
        try:
            run.result(GOAL_S)
        except TimeoutError:
            pass
        commands = [c for c in list(observer.commands) if c.sent > clear]
        intervals = tick_intervals(commands, observer.plan_commands, observer.period)
    run.cancel()
    seconds = time.monotonic() - began
    jitter = {
        name: [1e3 * abs(pair[i] - observer.period) for pair in intervals]
        for i, name in enumerate(("sent", "received"))
    }
    late = np.array([pair[0] for pair in intervals]) * 1e3
    return {
        "intervals": len(intervals),
        "seconds": round(seconds, 1),
        **{
            f"jitter_{name}_ms": {f"p{q:g}": percentile(values, q) for q in (50, 95, 99, 100)}
            for name, values in jitter.items()
        },
        "interval_ms": {f"p{q:g}": percentile(late, q) for q in (0, 1, 50, 99, 100)},
        "jitter_over_10_ms": int((np.abs(late - 1e3 * observer.period) > BAR_MS).sum()),
        "plans": len(observer.plans) - plans_before,
        "plan_ms_p50": percentile([ms for _, ms in observer.plans[plans_before:]], 50),
        "cores_used": {
            name: round((sample(pid)["cpu_s"] - cpu[name]) / seconds, 3)
            for name, pid in running.bringup.pids.items()
        },
        "load_average": round(os.getloadavg()[0], 2),
        "observer_cores_used": round((sum(os.times()[:2]) - sum(load[:2])) / seconds, 3),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--periods", type=int, default=3000, help="of every row")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--nice", type=int, help="niceness of the guard's process; default: as configured")
    parser.add_argument("--logs", type=Path, help="folder for the nodes' logs; default: a temporary one")
    parser.add_argument("--json", type=Path, metavar="FILE")
    args = parser.parse_args()
    logs = args.logs or Path(tempfile.mkdtemp(prefix="jepa_ros_guard_jitter_"))
    cores = len(os.sched_getaffinity(0))
    rows = {}
    overrides = {
        "planner": BUSY_PLANNER,
        "action_publisher": {} if args.nice is None else {"nice": args.nice},
    }
    with running_graph(logs, args.seed, overrides) as running:
        observer = Observer(running)
        nice = running.parameters("action_publisher", "nice")[0]
        rows["planner_at_full_load"] = measure(running, observer, args.seed, args.periods)
        with busy_cores(cores):
            rows["and_a_busy_process_per_core"] = measure(running, observer, args.seed, args.periods)
    observer.settle()
    bars = {
        "jitter": rows["planner_at_full_load"]["jitter_sent_ms"]["p99"] <= BAR_MS,
        "commands": not observer.audit.violations,
    }
    figures = {"bar_ms": BAR_MS, **rows, **observer.command_counts()}
    settings = {"seed": args.seed, "planner": BUSY_PLANNER, "nice": nice, "period_s": observer.period}
    return conclude(bars, figures, settings | observer.settings, args.json)


if __name__ == "__main__":
    sys.exit(main())

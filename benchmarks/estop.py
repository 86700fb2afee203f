"""How soon an emergency stop ends the motion: from the call of ~/estop to the last command that moves the arm.

    python benchmarks/estop.py --repeats 200 --json docs/results/estop.json

The simulated arm is on its way to random goals; ~/estop is called at random moments while it is commanded to move. The
guard brakes within the acceleration limit, so commands after the stop still move the arm, by less and less: the last
motion command is the last one whose position differs from the one before. Commands are timed where they are sent, by
the publisher's middleware; the call just before the client hands it over. Exit status 1 where the 99th percentile,
from the call on, is above 50 ms, or a command was beyond a limit.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from conclusion import conclude
from observer import LAG_S, Observer
from rclpy.time import Time
from sim_graph import RunningGraph, running_graph
from std_srvs.srv import Trigger

from jepa_ros.errors import JepaError
from jepa_ros.evaluation.statistics import percentile
from jepa_ros.safety.states import SafetyState
from jepa_ros.simulation.simulator import Simulator
from jepa_ros.simulation.tasks import make_task

BAR_MS = 50.0
MOVES = 0.1
"""rad/s of the fastest joint, commanded, from which on the arm is moving."""
RESTS = 0.02
"""rad/s of the fastest joint, measured, below which the arm rests where it stays so for REST_S."""
REST_S = 0.1
MOTION_S = 15.0


class Stops:
    """Stops the moving arm again and again."""

    def __init__(self, running: RunningGraph, seed: int):
        self.running, self.client, self.seed = running, running.client, seed
        self.observer = Observer(running)
        self.task, self.rng = make_task("reach"), np.random.default_rng(seed)
        self.simulator = Simulator(
            "reach", tuple(running.parameters("simulator", "image_height", "image_width"))
        )
        self.missed_motion = 0

    def one(self) -> dict | None:
        """One stop; None where the arm had come to rest before the call was made."""
        self.running.bringup.check()
        self.seed += 1
        _, goal = self.task.episode(self.seed)
        run = self.client.send_goal(self.simulator.goal_image(goal), timeout_s=MOTION_S)
        self._wait(lambda: self.observer.speed > MOVES, "motion")
        time.sleep(self.rng.uniform(0.0, 0.2))  # any moment of the motion
        called = time.time()
        response = self.client.call(Trigger, "action_publisher/estop", Trigger.Request())
        answered = time.time()
        if not response.success:
            raise JepaError(f"~/estop: {response.message}")
        run.result(MOTION_S)
        self._wait(lambda: self.observer.arm_speeds[-1][0] > answered + REST_S + LAG_S, "joint states")
        self.client.call(Trigger, "action_publisher/reset_estop", Trigger.Request())
        self.client.arm()
        return self._judge(called, answered)

    def _judge(self, called: float, answered: float) -> dict | None:
        until = answered + LAG_S
        commands = [c for c in self.observer.commands if called - 0.2 < c.sent < until]
        before = [c for c in commands if c.sent < called]
        moving = [c.sent for c in commands if c.moved and c.sent >= called]
        handled = next(
            Time.from_msg(s.header.stamp).nanoseconds * 1e-9
            for sent, s in self.observer.statuses
            if sent >= called and s.state == SafetyState.ESTOPPED
        )
        if not before or before[-1].speed == 0.0 or called - before[-1].sent > 2 * self.observer.period:
            return None
        last = max(moving, default=called)
        speeds = [(at, speed) for at, speed in self.observer.arm_speeds if called <= at < until]
        still = next(
            (
                at
                for i, (at, _) in enumerate(speeds)
                if all(speed < RESTS for later, speed in speeds[i:] if later <= at + REST_S)
            ),
            None,
        )
        return {
            "speed_rad_s": round(before[-1].speed, 3),
            "call_to_last_motion_ms": 1e3 * (last - called),
            "call_to_handled_ms": 1e3 * (handled - called),
            "handled_to_last_motion_ms": 1e3 * max(0.0, last - handled),
            "call_to_answer_ms": 1e3 * (answered - called),
            "motion_commands_after": len(moving),
            "call_to_arm_at_rest_ms": None if still is None else 1e3 * (still - called),
        }

    def _wait(self, done, what: str) -> None:
        until = time.monotonic() + MOTION_S
        while not done():
            self.running.bringup.check()
            if time.monotonic() > until:
                raise JepaError(f"no {what} within {MOTION_S:g} s")
            time.sleep(0.002)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--logs", type=Path, help="folder for the nodes' logs; default: a temporary one")
    parser.add_argument("--json", type=Path, metavar="FILE")
    args = parser.parse_args()
    logs = args.logs or Path(tempfile.mkdtemp(prefix="jepa_ros_estop_"))
    found, at_rest = [], 0
    with running_graph(logs, args.seed) as running:
        stops = Stops(running, args.seed)
        while len(found) < args.repeats:
            stop = stops.one()
            if stop is None:
                at_rest += 1
            else:
                found.append(stop)
    observer = stops.observer
    observer.settle()
    figures = {
        key: {f"p{q:g}": percentile([stop[key] for stop in found], q) for q in (50, 95, 99, 100)}
        for key in found[0]
    }
    never = sum(stop["call_to_arm_at_rest_ms"] is None for stop in found)
    bars = {
        "last_motion": figures["call_to_last_motion_ms"]["p99"] <= BAR_MS,
        "commands": not observer.audit.violations,
    }
    figures = {
        "repeats": len(found),
        "called_while_the_arm_rested": at_rest,
        "bar_ms": BAR_MS,
        **figures,
        "arm_not_at_rest_within_1_s": never,
        **observer.command_counts(),
    }
    settings = {"seed": args.seed, "period_s": observer.period} | observer.settings
    return conclude(bars, figures, settings, args.json, stops=found)


if __name__ == "__main__":
    sys.exit(main())

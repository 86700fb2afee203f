"""Drives the simulator graph with random goals for a long time, and watches memory, watchdogs, logs and commands.

    python benchmarks/soak.py --minutes 60 --json docs/results/soak.json

Goals are those of `jepa demo`, seed after seed, each from its own start pose; of six goals in a row one is canceled on
its way, and in one the arm is held by ~/hold and armed again. The result is written every minute. Exit status 1 where
a bar is missed:

- memory: of every process and of their sum, the median resident set (RSS) of the last minutes is at most 5 % above
  that of the first minutes after the warm-up.
- watchdogs: no command moves the arm with an input older than its limit, a period and the braking time, by the stamps
  that an observer of all topics sees; SafetyStatus never says RUNNING with an age beyond limit and period.
- no process ends, and none logs a traceback, an ERROR or a FATAL; ends with exit code 0 at last.
- no command beyond a limit (command_audit.py).
"""

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
from jepa_ros.action import ReachGoal
from observer import Observer
from process_watch import LogScan, sample
from sim_graph import RunningGraph, running_graph
from std_srvs.srv import Trigger

from jepa_ros.errors import JepaError
from jepa_ros.evaluation import provenance
from jepa_ros.evaluation.report import write_json
from jepa_ros.evaluation.statistics import percentile
from jepa_ros.evaluation.trace import scene
from jepa_ros.safety.states import SafetyState
from jepa_ros.simulation.simulator import Simulator
from jepa_ros.simulation.tasks import make_task

GROWTH = 0.05
GOAL_S = 20.0
SAMPLE_S = 5.0
WRITE_S = 60.0
ENDINGS = {
    getattr(ReachGoal.Result, name): name
    for name in ("REACHED", "TIMEOUT", "CANCELED", "PREEMPTED", "REJECTED", "NO_IMAGE", "NO_JOINT_STATE", "NO_COSTS",
                 "MODEL_MISMATCH", "SHUTDOWN", "INTERNAL_ERROR", "SURPRISE", "SAFETY")
}  # fmt: skip


class Memory:
    """Samples of every process, and of their sum, taken when ``look`` is called and SAMPLE_S have passed."""

    def __init__(self, pids: dict[str, int]):
        self.pids, self.series = pids, {name: [] for name in (*pids, "all")}
        self.began, self._next = time.monotonic(), 0.0

    def look(self) -> None:
        now = time.monotonic() - self.began
        if now < self._next:
            return
        self._next = now + SAMPLE_S
        found = {name: sample(pid) for name, pid in self.pids.items()}
        if None in found.values():
            return
        found["all"] = {
            key: sum(values[key] for values in found.values()) for key in next(iter(found.values()))
        }
        for name, values in found.items():
            self.series[name].append((now, values))

    def window(self, name: str, key: str, begin: float, end: float) -> float | None:
        """Median of what was sampled from begin to end, s."""
        values = [sampled[key] for at, sampled in self.series[name] if begin <= at < end]
        return float(np.median(values)) if values else None

    def summary(self, warm_up: float, span: float) -> dict:
        """Growth of every process from the first ``span`` s after ``warm_up`` s to the last; a line a minute."""
        ends = self.series["all"][-1][0] + 1e-3 if self.series["all"] else 0.0
        result = {}
        for name in self.series:
            row = {}
            for key in ("rss_mib", "pss_mib", "uss_mib", "threads", "files"):
                first = self.window(name, key, warm_up, warm_up + span)
                last = self.window(name, key, ends - span, ends)
                row[key] = {"first": first, "last": last}
                if first and last is not None:
                    row[key]["growth_percent"] = round(100 * (last / first - 1), 2)
            row["rss_mib"]["at_start"] = self.window(name, "rss_mib", 0, 2 * SAMPLE_S)
            row["rss_mib_by_minute"] = [
                round(value, 1)
                for minute in range(int(ends // 60) + 1)
                if (value := self.window(name, "rss_mib", 60 * minute, 60 * minute + 60)) is not None
            ]
            if self.series[name]:
                row["cores_used"] = round(self.series[name][-1][1]["cpu_s"] / max(ends, 1.0), 3)
            result[name] = row
        return result


class Soak:
    """One run: its goals, its watches, its result."""

    def __init__(self, args: argparse.Namespace, running: RunningGraph):
        self.args, self.running, self.client = args, running, running.client
        self.rng = np.random.default_rng(args.seed)
        self.observer = Observer(running)
        self.memory = Memory(running.bringup.pids)
        self.logs = LogScan({name: running.bringup.log_path(name) for name in running.bringup.pids})
        self.task = make_task("reach")
        image_size = running.parameters("simulator", "image_height", "image_width")
        self.simulator = Simulator("reach", tuple(image_size))
        self.began = time.monotonic()
        self.ends = self.began + 60 * args.minutes
        self.goals, self.holds, self.failures = [], Counter(asked=0, held=0, armed_again=0), []
        self._write_at = self.began + WRITE_S
        self.stopped = ""

    def drive(self) -> None:
        """Goal after goal until the time is over, or a process ends."""
        number = 0
        try:
            while time.monotonic() < self.ends:
                self._goal(number)
                number += 1
        except JepaError as error:
            self.failures.append(str(error))
        except KeyboardInterrupt:
            self.stopped = "interrupted"

    def _watch(self) -> None:
        self.memory.look()
        if time.monotonic() >= self._write_at:
            self._write_at += WRITE_S
            self.write(over=False)
        self.running.bringup.check()

    def _goal(self, number: int) -> None:
        seed = self.args.seed + number
        if number:
            self.client.reset_simulator("reach", seed)
        _, goal = self.task.episode(seed)
        kind = {2: "held", 4: "canceled"}.get(number % 6, "plain")
        interrupt_at = time.monotonic() + self.rng.uniform(0.3, 1.5)
        image, began = self.simulator.goal_image(goal), time.monotonic()
        run, result, interrupted = self.client.send_goal(image, timeout_s=GOAL_S), None, False
        while result is None:
            self._watch()
            if time.monotonic() - began > GOAL_S + 15.0:
                raise JepaError(f"goal of seed {seed}: the planner did not end it")
            if kind != "plain" and not interrupted and time.monotonic() > interrupt_at:
                interrupted = True
                run.cancel() if kind == "canceled" else self._hold_and_arm()
            try:
                result = run.result(0.1)
            except TimeoutError:
                pass
        self.goals.append(
            {
                "seed": seed,
                "kind": kind if interrupted else "plain",
                "ending": ENDINGS[result.termination_reason],
                "seconds": round(time.monotonic() - began, 2),
                "plans": result.plans,
                "true_error_m": self._true_error(goal),
            }
        )

    def _hold_and_arm(self) -> None:
        self.holds["asked"] += 1
        self.client.call(Trigger, "action_publisher/hold", Trigger.Request())
        self.holds["held"] += self._comes(SafetyState.HOLDING)
        self.client.arm()
        self.holds["armed_again"] += self._comes(SafetyState.RUNNING)

    def _comes(self, state: SafetyState, within_s: float = 5.0) -> bool:
        until = time.monotonic() + within_s
        while time.monotonic() < until:
            self._watch()
            if self.observer.status is not None and self.observer.status.state == state:
                return True
            time.sleep(0.005)
        return False

    def _true_error(self, goal) -> float | None:
        if self.observer.joints is None:
            return None
        self.simulator.reset(scene(self.observer.joints, None))
        return round(float(self.task.error(self.simulator, goal)), 4)

    def result(self, over: bool) -> dict:
        """What is written; ``bars`` says which were kept."""
        observer, args = self.observer, self.args
        self.logs.look()
        seconds = time.monotonic() - self.began
        warm_up = 60 * args.warm_up
        span = min(300.0, max(SAMPLE_S, (seconds - warm_up) / 3))
        memory = self.memory.summary(warm_up, span)
        growths = {name: row["rss_mib"].get("growth_percent") for name, row in memory.items()}
        plain = [goal for goal in self.goals if goal["kind"] == "plain"]
        plans = list(observer.plans)
        first, last = (plans[0][0], plans[-1][0]) if plans else (0.0, 0.0)
        windows = {
            "first": [ms for at, ms in plans if warm_up <= at - first < warm_up + span],
            "last": [ms for at, ms in plans if at > last - span],
            "all": [ms for _, ms in plans],
        }
        status = observer.status
        bars = {
            "memory": all(growth is not None and growth <= 100 * GROWTH for growth in growths.values()),
            "watchdogs": not observer.missed,
            "exceptions": not (self.failures or self.logs.complaints),
            "commands": not observer.audit.violations and observer.audit.count > 0,
        }
        return {
            "minutes": round(seconds / 60, 2),
            "over": over,
            "stopped": self.stopped,
            "bars": bars,
            "kept": all(bars.values()),
            "rss_growth_percent": growths,
            "memory_windows": {"warm_up_s": warm_up, "span_s": round(span, 1), "limit_percent": 100 * GROWTH},
            "processes": memory,
            "missed_watchdogs": list(observer.missed),
            "watchdog_expiries": {reason: dict(counts) for reason, counts in observer.expiries.items()},
            "oldest_input_while_moving_s": {topic: round(age, 4) for topic, age in observer.oldest.items()},
            "guard_transitions": dict(observer.states),
            **observer.command_counts(),
            "motions_begun_where_measured": observer.begun_anew,
            "farthest_beyond_a_limit": dict(observer.audit.farthest),
            "vetoed": None if status is None else int(status.vetoed),
            "failures": list(self.failures),
            "log_complaints": list(self.logs.complaints),
            "log_warnings": dict(self.logs.warnings.most_common(20)),
            "goals": {
                "attempted": len(self.goals),
                "plain": len(plain),
                "plain_reached": sum(goal["ending"] == "REACHED" for goal in plain),
                "plain_truly_within_tolerance_at_the_end": sum(
                    goal["true_error_m"] is not None and goal["true_error_m"] <= self.task.tolerance
                    for goal in plain
                ),
                "by_kind_and_ending": dict(
                    Counter(f"{goal['kind']} {goal['ending']}" for goal in self.goals)
                ),
                "holds": dict(self.holds),
            },
            "plan_ms": {
                name: {"plans": len(ms), "p50": percentile(ms, 50), "p95": percentile(ms, 95)}
                for name, ms in windows.items()
            },
            "settings": {"minutes": args.minutes, "warm_up": args.warm_up, "seed": args.seed}
            | observer.settings,
            "machine": provenance.machine(),
            "libraries": provenance.libraries(),
            "commit": self.commit,
        }

    commit = provenance.source_commit()

    def write(self, over: bool) -> dict:
        """Write what is known now."""
        result = self.result(over)
        if self.args.json:
            write_json(self.args.json, result)
        return result


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument(
        "--warm-up", type=float, help="minutes that do not count for memory; default: a tenth, 5 at most"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the first goal")
    parser.add_argument("--logs", type=Path, help="folder for the nodes' logs; default: a temporary one")
    parser.add_argument("--json", type=Path, metavar="FILE")
    args = parser.parse_args()
    if args.warm_up is None:
        args.warm_up = min(5.0, args.minutes / 10)
    logs = args.logs or Path(tempfile.mkdtemp(prefix="jepa_ros_soak_"))
    with running_graph(logs, args.seed) as running:
        soak = Soak(args, running)
        soak.drive()
        processes = dict(running.bringup.pids)
    codes = running.bringup.exit_codes
    soak.failures += [
        f"process {name} ended with exit code {codes[name]}" for name in processes if codes[name]
    ]
    soak.observer.settle()
    result = soak.write(over=True)
    shown = ("minutes", "bars", "rss_growth_percent", "watchdog_expiries", "oldest_input_while_moving_s", "commands",
             "goals", "plan_ms", "missed_watchdogs", "command_violations", "failures", "log_complaints")  # fmt: skip
    print(json.dumps({name: result[name] for name in shown}, indent=1))
    print(
        "every bar was kept" if result["kept"] else "A BAR WAS MISSED: " + str(result["bars"]),
        file=sys.stderr,
    )
    return 0 if result["kept"] else 1


if __name__ == "__main__":
    sys.exit(main())

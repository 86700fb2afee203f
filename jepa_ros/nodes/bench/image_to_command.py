"""Image to command in the live graph with the embedded simulator, in both compositions."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from jepa_ros.errors import JepaError
from jepa_ros.evaluation.bench.effort import Effort
from jepa_ros.evaluation.bench.resident import peak_mib
from jepa_ros.evaluation.bench.timing import figures
from jepa_ros.evaluation.statistics import wilson_interval
from jepa_ros.evaluation.trace import GroundTruth
from jepa_ros.nodes.bench.watcher import STAGES, Watcher
from jepa_ros.nodes.bringup.graph import COMPOSITIONS, Graph
from jepa_ros.nodes.client import GraphClient
from jepa_ros.nodes.live_graph import isolate, live_graph
from jepa_ros.nodes.node_states import NodeStates
from jepa_ros.planning.config import PlannerConfig
from jepa_ros.simulation.arm import JOINT_NAMES
from jepa_ros.simulation.simulator import Simulator
from jepa_ros.simulation.tasks import make_task

NAMESPACE, TASK, FIRST_SEED = "jepa_bench", "reach", 1
GOAL_S = 30.0
OLDEST_PLAN_S = 5.0
"""max_plan_age of the guard: a slow plan is measured, not refused and left out of the figures."""
NEVER = 1e-6
"""A tolerance that no look is within: the planner goes on."""


def measure(
    checkpoint: Path,
    effort: Effort,
    runtime: str = "auto",
    device: str = "",
    say: Callable[[str], None] = print,
) -> dict:
    """compositions: name to what ``_composition`` gives. runtime, device: of the nodes that compute the model."""
    isolate()
    return {
        "compositions": {
            name: _composition(name, checkpoint, effort, runtime, device, say) for name in COMPOSITIONS
        }
    }


def _composition(name: str, checkpoint: Path, effort: Effort, runtime: str, device: str, say) -> dict:
    """image_to_command and stages at the default settings while the arm reaches goals, what became of those, the peak
    memory of every process, and the same times at further settings."""
    say(f"  {name}: bringing the graph up")
    graph = Graph(
        NAMESPACE,
        name,
        TASK,
        FIRST_SEED,
        checkpoint=str(checkpoint),
        device=device,
        overrides={
            "action_publisher": {"max_plan_age": OLDEST_PLAN_S},
            **{node: {"runtime": runtime} for node in ("encoder", "world_model")},
        },
    )
    logs, load = Path(tempfile.mkdtemp(prefix="jepa_bench_log_")), os.getloadavg()[0]
    try:
        with live_graph(graph, logs) as (bringup, client):
            session = Session(client)
            default = session.reach_goals(effort.goals, bringup.check, say)
            peaks = {process: peak_mib(pid) for process, pid in bringup.pids.items()}
            rows = [
                session.plan_on(bringup.check, effort.graph_plans, say, **changed)
                for changed in _settings(effort)
            ]
            runtimes = session.runtimes()
    except JepaError as error:
        raise JepaError(f"{name}: {error}; logs: {logs}") from error
    shutil.rmtree(logs)
    return {
        **default,
        "runtime": runtimes,
        "load_average_before": round(load, 2),
        "peak_mib": peaks,
        "other_settings": [row for row in rows if row],
    }


def _settings(effort: Effort) -> list[dict[str, int]]:
    if not effort.graph_candidates:
        return []
    default = PlannerConfig()
    return [
        {"samples": samples, "horizon": default.horizon}
        for samples in sorted({*effort.graph_candidates, default.samples})
    ] + [{"samples": default.samples, "horizon": horizon} for horizon in effort.graph_horizons]


class Session:
    """Drives goals through a graph that is up."""

    def __init__(self, client: GraphClient):
        self._client, self._states = client, NodeStates(client)
        self._watcher, self._task = Watcher(client, JOINT_NAMES), make_task(TASK)

    def reach_goals(self, count: int, check: Callable[[], None], say) -> dict:
        """Goals never seen in training, one after the other, as the demo sends them. image_to_command_searched: of the
        looks at which the planner searched; searched: their share; proposed: of those that the policy planned for; stages: of
        both."""
        commands, searched, stages, reached, misses = [], [], [], 0, 0
        for seed in range(FIRST_SEED, FIRST_SEED + count):
            if seed != FIRST_SEED:
                self._client.reset_simulator(TASK, seed)
            self._watcher.begin(seed)
            goal = self._task.episode(seed)[1]
            run = self._client.send_goal(self._picture(goal), timeout_s=GOAL_S)
            run.result(GOAL_S + 15.0)
            check()
            trace = self._watcher.trace
            ends = trace.joint_times[-1] + self._task.hold_seconds
            self._watcher.wait(lambda: trace.joint_times[-1] > ends, 10.0)
            reached += GroundTruth(self._task, goal).judge(trace).success
            commands += trace.image_to_command_ms
            stages += self._watcher.stages
            if len(self._watcher.stages) == len(
                trace.image_to_command_ms
            ):  # else a plan was refused, or is not told of
                pairs = zip(trace.image_to_command_ms, self._watcher.stages, strict=True)
                searched += [ms for ms, stage in pairs if stage["searched"]]
            misses += trace.deadline_misses
            say(f"    goal {seed} of {count}: {len(trace.plan_ms)} plans, {reached} reached")
        return {
            "image_to_command": figures(commands),
            "image_to_command_searched": figures(searched) if searched else None,
            "searched": sum(stage["searched"] for stage in stages) / len(stages),
            "proposed": sum(stage["proposed"] for stage in stages) / len(stages),
            "stages": {
                name: figures([stage[name] for stage in stages if stage["searched"] or stage["proposed"]])
                for name in STAGES
            },
            "deadline_misses": misses,
            "goals": {"tried": count, "reached": reached, "wilson_95": list(wilson_interval(reached, count))},
        }

    def plan_on(self, check: Callable[[], None], plans: int, say, **changed) -> dict | None:
        """So many plans with other parameters of the planner, a search at every look, no deadline, and none of which is
        near enough; None where no command came of them."""
        for transition in ("deactivate", "cleanup"):
            self._states.change("planner", transition)
        self._client.set_parameters(
            "planner", mode="search", replan="always", deadline_s=0.0, costs_timeout_s=5.0, **changed
        )
        for transition in ("configure", "activate"):
            self._states.change("planner", transition)
        self._client.reset_simulator(TASK, FIRST_SEED)
        self._watcher.begin(FIRST_SEED)
        watcher = self._watcher
        run = self._client.send_goal(
            self._picture(self._task.episode(FIRST_SEED)[1]), tolerance=NEVER, timeout_s=GOAL_S
        )
        watcher.wait(lambda: len(watcher.trace.image_to_command_ms) >= plans, GOAL_S)
        trace = watcher.end()  # before a cancel, which sends a plan not to move
        run.cancel()
        run.result(15.0)
        check()
        if not trace.image_to_command_ms:
            say(f"    {changed}: no command within {GOAL_S:g} s")
            return None
        row = {
            "candidates": changed["samples"],
            "horizon": changed["horizon"],
            "plan": figures(trace.plan_ms),
            "image_to_command": figures(trace.image_to_command_ms),
        }
        say(f"    {changed}: image to command {row['image_to_command']['median_ms']:.0f} ms")
        return row

    def runtimes(self) -> dict[str, str]:
        """What computes the model, by node, as its diagnostics say."""
        nodes, found = ("encoder", "world_model"), self._watcher.diagnostics
        self._watcher.wait(lambda: all("runtime" in found.get(node, {}) for node in nodes), 5.0)
        return {node: found.get(node, {}).get("runtime", "unknown") for node in nodes}

    @staticmethod
    def _picture(goal):
        with Simulator(task=TASK) as simulator:
            return simulator.goal_image(goal)

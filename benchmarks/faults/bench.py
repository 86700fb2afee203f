"""The simulator graph with a relay in its topics: brought up, driven, broken and mended."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import yaml
from faults.judge import MOVING, Judge
from faults.relay import PUBLISHED_BY, TRUE, Relay
from std_srvs.srv import SetBool, Trigger

from jepa_ros.errors import JepaError
from jepa_ros.nodes.bringup.files import find
from jepa_ros.nodes.bringup.graph import Graph, Process
from jepa_ros.nodes.bringup.running import Bringup
from jepa_ros.nodes.client import GoalRun, GraphClient
from jepa_ros.nodes.node_states import NodeStates
from jepa_ros.safety.limits import JointLimits
from jepa_ros.simulation.simulator import Simulator
from jepa_ros.simulation.tasks import make_task

MOTION_S = 20.0
FAR = 1.2
"""rad; the farthest joint of a trial's goal is at least this far, so that the arm moves for a second and more."""
NEVER = 1e-6
"""Latent distance that is never reached: the planner plans until another goal comes."""
PERIOD = 1 / 50  # s, action_publisher's default


class RelayedGraph(Graph):
    """A graph of which every relayed topic is published as true/NAME, for the relay to pass on as NAME; also
    /clock, so that it is this graph's own."""

    def processes(self, folder: Path | None = None) -> list[Process]:
        """As those of a Graph."""

        def arguments(process: Process) -> tuple[str, ...]:
            rules = []
            for name, node in PUBLISHED_BY.items():
                full = "/clock" if name == "clock" else name
                if node in process.nodes:
                    rules += ["-r", f"{full}:={TRUE}{name}"]
                elif name == "clock":
                    rules += ["-r", f"{full}:={name}"]
            return (process.arguments[0], *rules, *process.arguments[1:])

        return [replace(process, arguments=arguments(process)) for process in super().processes(folder)]


@dataclass(frozen=True)
class Episode:
    """seed: of the task's episode.  start, goal: (A,) rad.  start_image, goal_image: how they look."""

    seed: int
    start: np.ndarray
    goal: np.ndarray
    start_image: np.ndarray
    goal_image: np.ndarray

    def farther(self, position: np.ndarray) -> np.ndarray:
        """The image of start or goal, whichever is farther from (A,) rad."""
        there, back = (np.abs(joints - position).max() for joints in (self.goal, self.start))
        return self.goal_image if there > back else self.start_image


@cache
def episodes(count: int, first_seed: int) -> tuple[Episode, ...]:
    """Episodes whose goal is far from their start."""
    task, found, seed = make_task("reach"), [], first_seed
    with Simulator("reach") as simulator:
        while len(found) < count:
            start, goal = task.episode(seed)
            if np.abs(goal.joints - start.joints).max() >= FAR:
                images = (simulator.goal_image(scene) for scene in (start, goal))
                found.append(Episode(seed, start.joints, goal.joints, *images))
            seed += 1
    return tuple(found)


def limits_of_config() -> tuple[JointLimits, dict]:
    """The limits that the graph is started with, and its watchdogs' limits, s."""
    config = yaml.safe_load(find("config/so101.yaml").read_text())
    robot = config["/**"]["ros__parameters"]["robot"]
    guard = config["/**/action_publisher"]["ros__parameters"]
    limits = JointLimits(
        robot["joint_names"],
        robot["position_lower"],
        robot["position_upper"],
        guard["limits"]["velocity"],
        guard["limits"]["acceleration"],
        guard["limits"]["position_margin"][0],
    )
    return limits, guard["watchdog"]


class Bench:
    """A running graph, and what a trial does with it. checkpoint: the copy of the model that it reads."""

    def __init__(self, bringup: Bringup, client: GraphClient, relay: Relay, judge: Judge, checkpoint: Path):
        self.bringup, self.client, self.relay, self.judge = bringup, client, relay, judge
        self.checkpoint, self.states = checkpoint, NodeStates(client)
        self.run: GoalRun | None = None

    def begin(self, episode: Episode) -> None:
        """Put the arm at the start of an episode, and arm."""
        self.end_goal()
        self.arm(False)
        if not self.judge.wait(
            lambda: self.judge.at_rest, MOTION_S
        ):  # else its last setpoints follow the reset
            raise JepaError("the disarmed arm does not come to rest")
        self.client.set_parameters("simulator", seed=episode.seed)
        response = self.client.call(Trigger, "simulator/reset", Trigger.Request())
        if not response.success:
            raise JepaError(f"simulator: {response.message}")
        there = self.judge.wait(lambda: self._is_at(episode.start), MOTION_S)
        if not there:
            raise JepaError(
                f"the arm is not at the start of episode {episode.seed}, but at {self.judge.position}"
            )
        self.judge.begin()
        self.arm()

    def _is_at(self, joints: np.ndarray) -> bool:
        return self.judge.at_rest and np.allclose(self.judge.position, joints, atol=0.05)

    def send(self, image: np.ndarray) -> None:
        """Send a goal that the planner pursues until another one comes."""
        try:
            self.run = self.client.send_goal(image, NEVER, 600.0)
        except JepaError:  # asked a planner that was killed
            self.run = self.client.send_goal(image, NEVER, 600.0)

    def moves(self, samples: int = 1, timeout_s: float = MOTION_S) -> bool:
        """Wait until the guard runs a plan and the true arm has moved for so many joint_states from now on."""
        since, judge = time.time(), self.judge

        def moving():
            fast = sum(sent >= since and speed > MOVING for sent, speed in judge.speeds)
            return judge.running and fast >= samples

        return judge.wait(moving, timeout_s)

    def end_goal(self) -> None:
        """End the goal at hand."""
        if self.run is not None:
            self.run.cancel()
            self.run.result(MOTION_S)
            self.run = None

    def arm(self, armed: bool = True) -> None:
        """By ~/arm; asks again where the one who was asked is gone."""
        for attempts_left in reversed(range(10)):
            try:
                self.judge.new_motion()
                self.client.call(SetBool, "action_publisher/arm", SetBool.Request(data=armed), 1.0)
                return
            except JepaError:
                if not attempts_left:
                    raise

    def kill(self, node: str, signum: int) -> None:
        """Send a signal to the process of a node."""
        os.kill(self.bringup.pids[node], signum)

    def restart(self, node: str) -> None:
        """Start the process of a node anew, and wait until the node is active."""
        self.bringup.start_one(node)
        self.client.wait_active((node,), check=self.bringup.check)


@contextmanager
def bench(log_folder: Path, checkpoint: Path, simulated_time: bool, seed: int) -> Iterator[Bench]:
    """Bring the distributed reach graph up, disarmed as on hardware; on exit it has ended."""
    namespace = f"faults{os.getpid()}"
    graph = RelayedGraph(
        namespace,
        checkpoint=str(checkpoint),
        use_sim_time=simulated_time,
        overrides={"action_publisher": {"auto_arm": False, "point_velocities": True}},
    )
    limits, _ = limits_of_config()
    with (
        Relay(namespace, seed) as relay,
        Bringup(graph, log_folder) as bringup,
        GraphClient(namespace) as client,
    ):
        client.wait_active(graph.nodes, check=bringup.check)
        yield Bench(bringup, client, relay, Judge(client, limits, PERIOD), checkpoint)

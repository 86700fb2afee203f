"""One run of `jepa demo`: bring up, drive episode after episode, judge, report, tear down."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from jepa_ros.cli.demo_progress import ProgressLine
from jepa_ros.cli.demo_recorder import Recorder
from jepa_ros.data.collect import arm_spec
from jepa_ros.errors import JepaError
from jepa_ros.evaluation import demo_report
from jepa_ros.evaluation.report import write_json
from jepa_ros.evaluation.trace import GroundTruth, Trace, Verdict, first_held, judge_by_planner
from jepa_ros.nodes.bringup.interrupts import handling, interruptible
from jepa_ros.simulation.arm import JOINT_NAMES
from jepa_ros.simulation.simulator import Simulator
from jepa_ros.simulation.tasks import make_task
from jepa_ros.world_model.trust import require_digest

NAMESPACE = "jepa"
AFTER_REACHED_S = 3.0
"""How long the planner may go on looking after the goal was held, before the demo cancels its goal."""


def run_demo(args: argparse.Namespace) -> int:
    """Returns the exit status of `jepa demo`."""
    Bringup, Graph, GraphClient = _ros()
    task = make_task(args.task)
    given = None if args.goal_image is None else read_image(args.goal_image, "--goal-image")
    sub_goals = [read_image(path, "--sub-goals") for path in args.sub_goals]
    graph = Graph(
        namespace=NAMESPACE,
        composition=args.composition,
        task=args.task,
        seed=args.seed,
        checkpoint=args.checkpoint,
        checkpoint_sha256=args.sha256,
    )
    checkpoint = graph.node_parameters()["planner"]["checkpoint"]
    require_digest(checkpoint, args.sha256)  # refused here, before anything is replaced or started
    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    demo_report.prepare(args.out)
    print(
        f"bringing up {len(graph.nodes)} nodes, composition {args.composition}; "
        f"their logs are in {args.out / 'log'}"
    )
    began, episodes, runtime = time.monotonic(), [], "unknown"
    try:
        with interruptible(), stopping(Bringup(graph, args.out / "log")) as bringup:
            with GraphClient(NAMESPACE) as client:
                client.wait_active(
                    graph.nodes,
                    check=bringup.check,
                    on_active=lambda node: print(f"  {node} is up ({time.monotonic() - began:.1f} s)"),
                )
                client.require_alone(graph.nodes)
                runtime = client.reported("world_model", "runtime")
                print(f"  the model is computed by {runtime}")
                session = Session(args, task, bringup, client, given, sub_goals)
                for episode in range(args.episodes):
                    episodes.append(session.drive(episode))
            print("stopping the graph")
    except BaseException as error:
        if episodes:
            write_result(args, runtime, episodes, cut_short=str(error) or "interrupted")
            print(f"wrote {args.out}/result.json: the {len(episodes)} of {args.episodes} episodes that ended")
        raise
    content = write_result(args, runtime, episodes)
    print(f"wrote {args.out}/: filmstrip.png, plot.png, bag/, log/, result.json")
    print(summary(episodes))
    needed = args.episodes if args.require is None else args.require
    return 0 if content["successes"] >= needed else 1


def write_result(
    args: argparse.Namespace,
    runtime: str,
    episodes: list[tuple[Trace, Verdict]],
    cut_short: str | None = None,
) -> dict:
    """Write result.json; returns its content. runtime: what computed the model.  cut_short: why not every episode was
    driven."""
    content = demo_report.result(
        args.task, args.seed, args.composition, args.checkpoint, runtime, episodes, cut_short
    )
    write_json(args.out / "result.json", content)
    return content


class Session:
    """Drives one goal after the other through a graph that is up."""

    def __init__(
        self,
        args: argparse.Namespace,
        task,
        bringup,
        client,
        given: np.ndarray | None,
        sub_goals: list[np.ndarray],
    ):
        self.args, self.task, self.bringup, self.client, self.given = args, task, bringup, client, given
        self.sub_goals = sub_goals
        self.recorder = Recorder(client, NAMESPACE, JOINT_NAMES, has_cube=args.task == "push")
        image = self.recorder.wait_image(10.0)
        if image is None:
            raise JepaError(f"no image on /{NAMESPACE}/image within 10 s; see {args.out / 'log'}")
        self.image_size = image.shape[:2]

    def drive(self, episode: int) -> tuple[Trace, Verdict]:
        """One goal, from reset to verdict; draws its pictures."""
        args, seed = self.args, self.args.seed + episode
        if episode > 0:
            self.client.reset_simulator(args.task, seed)
        _, goal = self.task.episode(seed)
        truth = GroundTruth(self.task, goal)
        goal_image = self.given
        if goal_image is None:
            with Simulator(task=args.task, image_size=self.image_size) as simulator:
                goal_image = simulator.goal_image(goal)
        aim = f"seed {seed}" if self.given is None else args.goal_image.name
        heading = f"{args.task}, {aim}, {args.composition}"
        print(f"episode {episode + 1} of {args.episodes}: {heading}")

        trace = Trace(seed)
        bag = args.out / "bag" if args.episodes == 1 else args.out / "bag" / f"episode_{seed:05d}"
        bag.parent.mkdir(parents=True, exist_ok=True)
        self.recorder.begin(
            trace,
            bag,
            {
                "task": args.task,
                "seed": seed,
                "composition": args.composition,
                "action_spec": arm_spec().to_dict(),
                "goal": None if self.given is not None else goal.to_dict(),
            },
        )
        try:
            self._pursue(trace, None if self.given is not None else truth, goal_image)
        finally:
            self.recorder.end()
        verdict = truth.judge(trace) if self.given is None else judge_by_planner(trace)
        name = "" if episode == 0 else f"_{seed:05d}"
        demo_report.draw(
            args.out,
            name,
            trace,
            verdict,
            goal if self.given is None else None,
            goal_image,
            heading,
            args.task,
            self.task.tolerance,
        )
        print(f"  {demo_report.outcome(verdict)}; the planner says: {trace.termination}")
        return trace, verdict

    def _pursue(self, trace: Trace, truth: GroundTruth | None, goal_image: np.ndarray) -> None:
        """Send the goal and follow it until planner and ground truth have said their word."""
        line = ProgressLine()
        run = self.client.send_goal(
            goal_image,
            timeout_s=self.args.timeout,
            on_feedback=line.on_feedback,
            sub_goals=self.sub_goals,
        )
        errors: list[float] = []
        began, ended_at, held_at, asked_to_end = time.monotonic(), None, None, False
        try:
            while True:
                self.bringup.check()
                if ended_at is None:
                    try:
                        result = run.result(0.1)
                        ended_at = time.monotonic()
                        trace.reached = result.termination_reason == type(result).REACHED
                        trace.termination = (
                            "still refining when the demo ended its goal"
                            if asked_to_end
                            else result.text or ("reached" if trace.reached else "not reached")
                        )
                    except TimeoutError:
                        pass
                else:
                    time.sleep(0.1)
                now, seen = time.monotonic(), len(trace.joint_times)
                if truth is not None:
                    errors += [truth.error(trace.joints[i], trace.cubes[i]) for i in range(len(errors), seen)]
                    if (
                        held_at is None
                        and first_held(
                            trace.joint_times[:seen], errors, self.task.tolerance, self.task.hold_seconds
                        )
                        is not None
                    ):
                        held_at = now
                line.show(now - began, errors[-1] if errors else None)
                if ended_at is not None and (
                    truth is None or held_at or now - ended_at > self.task.hold_seconds + 0.3
                ):
                    return
                if (
                    held_at is not None
                    and now - held_at > AFTER_REACHED_S
                    and ended_at is None
                    and not asked_to_end
                ):
                    run.cancel()
                    asked_to_end = True
                if now - began > self.args.timeout + 15.0:
                    raise JepaError(
                        f"the planner did not end its goal {self.args.timeout:g} s after it began; see "
                        f"{self.args.out / 'log'}"
                    )
        except BaseException:
            if ended_at is None:
                run.cancel()  # the arm is held
            raise
        finally:
            line.end()


def summary(episodes: list[tuple[Trace, Verdict]]) -> str:
    """The last line of a demo."""
    if len(episodes) == 1:
        verdict = episodes[0][1]
        words = demo_report.outcome(verdict).replace("reached ", "reached: ", 1)
        return f"{words} (judged by {verdict.judged_by})"
    successes = sum(verdict.success for _, verdict in episodes)
    all_of_them = "goal reached" if successes == len(episodes) else "goal not reached"
    return f"{all_of_them}: {successes} of {len(episodes)} episodes (judged by {episodes[0][1].judged_by})"


def read_image(path: Path, option: str) -> np.ndarray:
    """A picture file -> (h, w, 3) uint8 RGB; JepaError names the option where it is none."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            return np.asarray(image.convert("RGB"))
    except FileNotFoundError:
        raise JepaError(f"{option} {path}: there is no such file") from None
    except (UnidentifiedImageError, OSError) as error:
        raise JepaError(f"{option} {path}: not a readable picture ({error})") from error


@contextmanager
def stopping(bringup):
    """Enter a bring-up; while it stops, a further Ctrl-C or a closed terminal does not leave processes
    behind: its waiting is bounded."""
    try:
        bringup.start()
        yield bringup
    except KeyboardInterrupt:
        print("\nstopping: the arm is held, the nodes end", file=sys.stderr, flush=True)
        raise
    finally:
        with handling((signal.SIGINT, signal.SIGTERM, signal.SIGHUP), signal.SIG_IGN):
            bringup.stop()


def _ros():
    """The parts of the nodes room that a demo needs; JepaError where there is no ROS 2 or no built
    workspace."""
    try:
        from jepa_ros.nodes.bringup.graph import Graph
        from jepa_ros.nodes.bringup.running import Bringup
        from jepa_ros.nodes.client import GraphClient
    except ModuleNotFoundError as error:
        raise JepaError(
            f"`jepa demo` needs ROS 2 and the built workspace ({error.name} is missing): run `make demo`, or "
            "`make setup` and then `. ./activate`"
        ) from error
    return Bringup, Graph, GraphClient

"""The verdict on what was seen of the live graph, and the reports made of it."""

import json

import numpy as np
import pytest
from PIL import Image

from jepa_ros.evaluation import demo_report
from jepa_ros.evaluation.trace import GroundTruth, Trace, first_held, judge_by_planner
from jepa_ros.simulation.simulator import Simulator
from jepa_ros.simulation.tasks import make_task

RESULT_KEYS = {
    "task",
    "seed",
    "episodes",
    "successes",
    "success",
    "cut_short",
    "judged_error_m",
    "final_error_m",
    "steps",
    "plan_ms_p50",
    "plan_ms_p95",
    "image_to_command_ms_p50",
    "image_to_command_ms_p95",
    "composition",
    "checkpoint",
}


@pytest.fixture(scope="module")
def episode():
    task = make_task("reach")
    start, goal = task.episode(7)
    return task, start, goal


def trace_to(start, end, seconds=2.0, hold=1.0):
    """Joints move evenly from start to end within ``seconds``, then rest for ``hold``."""
    trace = Trace(seed=7)
    for t in np.arange(0, seconds + hold, 0.02):
        trace.joint_times.append(float(t))
        trace.joints.append(start.joints + min(t / seconds, 1.0) * (end - start.joints))
        trace.cubes.append(None)
    trace.distance_times, trace.distances = [0.0, 0.6, 1.2], [1.0, 0.5, 0.1]
    trace.plan_ms, trace.latent_tolerance = [30.0, 31.0, 32.0], 0.05
    trace.command_times, trace.image_to_command_ms = [0.1, 0.7, 1.3], [60.0, 61.0, 62.0]
    trace.reached, trace.termination = True, "within 0.050 of the goal"
    return trace


@pytest.mark.parametrize(
    "errors, held",
    [
        ([9, 1, 1, 1, 1, 1, 1, 1], 0.6),  # from 0.1 s on
        ([1, 1, 1, 9, 1, 1, 1, 1], None),  # interrupted, then too short
        ([1, 1, 1, float("nan"), 1, 1, 1, 1], None),
        ([2, 2, 2, 2, 2, 2, 2, 2], 0.5),  # the tolerance itself counts
    ],
)
def test_held_means_without_a_break(errors, held):
    assert first_held(np.arange(8) / 10, errors, tolerance=2, hold_seconds=0.5) == (
        None if held is None else pytest.approx(held)
    )


def test_ground_truth_is_forward_kinematics_of_the_measured_joints(episode):
    task, start, goal = episode
    truth = GroundTruth(task, goal)
    assert truth.error(goal.joints, None) == pytest.approx(0, abs=1e-9)
    assert truth.error(start.joints, None) == pytest.approx(
        np.linalg.norm(start.end_effector - goal.end_effector)
    )


def test_arriving_is_success_and_stopping_short_is_not_whatever_the_planner_says(episode):
    task, start, goal = episode
    truth = GroundTruth(task, goal)
    there = truth.judge(trace_to(start, goal.joints))
    assert there.success and 0.5 < there.seconds < 2.6 and there.final_error_m < 1e-6
    short = trace_to(start, start.joints + 0.5 * (goal.joints - start.joints))
    assert short.reached and not truth.judge(short).success
    assert judge_by_planner(short).success


def test_passing_through_the_goal_is_no_success(episode):
    task, start, goal = episode
    beyond = goal.joints + 0.5 * (goal.joints - start.joints)
    assert not GroundTruth(task, goal).judge(trace_to(start, beyond)).success


def test_words_and_last_frame_tell_the_error_that_was_judged_whatever_came_after(episode, monkeypatch):
    task, start, goal = episode
    trace = trace_to(start, goal.joints)
    trace.joint_times.append(trace.joint_times[-1] + 0.02)
    trace.joints.append(start.joints)  # it drifts off
    trace.cubes.append(None)
    truth = GroundTruth(task, goal)
    verdict = truth.judge(trace)
    achieved = trace.joint_times.index(verdict.seconds)
    assert verdict.success and verdict.judged_error_m == truth.error(trace.joints[achieved], None) <= 0.02
    assert verdict.final_error_m == truth.error(start.joints, None) > 0.1
    said = demo_report.length(verdict.judged_error_m)
    assert demo_report.outcome(verdict).endswith(f", {said} from it")

    drawn = []
    monkeypatch.setattr(demo_report.filmstrip, "compose", lambda panels, *_: drawn.extend(panels))
    with Simulator(task="reach") as simulator:
        demo_report.strip(simulator, trace, verdict, goal, None, "reach", "")
    assert drawn[-2].title.startswith("end") and drawn[-2].caption == f"{said} away"


def test_nothing_seen_is_no_success(episode):
    task, _, goal = episode
    verdict = GroundTruth(task, goal).judge(Trace(seed=7))
    assert not verdict.success and verdict.final_error_m is None
    assert not judge_by_planner(Trace(seed=7)).success


def test_pictures_are_drawn_with_and_without_ground_truth(episode, tmp_path):
    task, start, goal = episode
    trace = trace_to(start, goal.joints)
    verdict = GroundTruth(task, goal).judge(trace)
    demo_report.draw(tmp_path, "", trace, verdict, goal, None, "reach, seed 7", "reach", task.tolerance)
    given = np.full((48, 64, 3), 200, np.uint8)
    demo_report.draw(
        tmp_path, "_file", trace, judge_by_planner(trace), None, given, "reach, file", "reach", 0.02
    )
    for name in ("filmstrip.png", "plot.png", "filmstrip_file.png", "plot_file.png"):
        assert np.asarray(Image.open(tmp_path / name).convert("RGB")).std() > 5, f"{name} is blank"


def test_a_trace_without_any_message_still_gives_a_plot(tmp_path):
    trace = Trace(seed=7)
    demo_report.draw(
        tmp_path, "", trace, judge_by_planner(trace), None, np.zeros((8, 8, 3), np.uint8), "h", "reach", 0.02
    )
    assert (tmp_path / "plot.png").is_file()


def test_result_has_the_promised_keys_and_is_json(episode):
    task, start, goal = episode
    trace = trace_to(start, goal.joints)
    content = demo_report.result(
        "reach", 7, "single", "reach", "onnx", [(trace, GroundTruth(task, goal).judge(trace))] * 2
    )
    assert RESULT_KEYS <= set(content)
    assert content["runtime"] == "onnx"
    assert content["successes"] == content["episodes"] == 2 and content["success"] is True
    assert content["steps"] == 6 and content["image_to_command_ms_p50"] == pytest.approx(61.0)
    json.dumps(content, allow_nan=False)


def test_prepare_replaces_an_earlier_demo_and_nothing_else(tmp_path):
    for name in ("filmstrip.png", "plot_00008.png", "result.json", "mine.txt"):
        (tmp_path / name).write_text("x")
    (tmp_path / "bag").mkdir()
    demo_report.prepare(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]

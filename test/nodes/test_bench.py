"""The graph part of `jepa bench` over real DDS, in both compositions."""

import json
import os
import subprocess
import sys

import pytest
from jepa_ros.msg import PlannerStatus, SafetyStatus

from jepa_ros.nodes.bench.watcher import Watcher
from jepa_ros.nodes.client import GraphClient
from jepa_ros.nodes.wire import qos


def test_what_comes_after_the_end_is_not_traced(world):
    with GraphClient(world.namespace) as client:
        watcher = Watcher(client, ())
        safety = world.talk(SafetyStatus, "action_publisher/safety_status", qos.STATUS)
        planner = world.talk(PlannerStatus, "planner/status", qos.STATUS)

        def command(number):
            planner.publish(PlannerStatus(plans=number, plan_ms=10.0 * number))
            safety.publish(SafetyStatus(plan_age_s=0.05 * number))
            assert watcher.wait(
                lambda: len(watcher.trace.plan_ms) == len(watcher.trace.image_to_command_ms) == 1, 20.0
            )

        watcher.begin(7)
        command(1)
        ended = watcher.end()
        command(2)  # the plan not to move that a cancel sends
        assert ended.seed == 7 and ended.plan_ms == [10.0]
        assert ended.image_to_command_ms == pytest.approx([50.0])
        assert watcher.trace.image_to_command_ms == pytest.approx([100.0])


@pytest.mark.timeout(600)
def test_image_to_command_is_measured_through_both_compositions(tmp_path):
    environment = os.environ | {"ROS_DOMAIN_ID": str(102 + os.getpid() % 100)}
    words = [
        sys.executable,
        "-m",
        "jepa_ros.cli.main",
        "bench",
        "--quick",
        "--parts",
        "graph",
        "--out",
        str(tmp_path),
    ]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=580)
    assert done.returncode == 0, done.stdout + done.stderr

    content = json.loads((tmp_path / "bench.json").read_text())
    compositions = content["parts"]["graph"]["compositions"]
    assert set(compositions) == {"distributed", "single"}
    for name, found in compositions.items():
        command = found["image_to_command"]
        assert command["repetitions"] >= 2 and 0 < command["median_ms"] <= command["p95_ms"] < 5000
        assert found["stages"]["plan_ms"]["median_ms"] < found["stages"]["image_age_ms"]["p95_ms"]
        assert 0 < found["searched"] <= 1
        assert found["goals"]["tried"] == 1 and set(found["runtime"].values()) == {"onnx"}
        expected = {"simulator", "action_publisher"} | (
            {"single"} if name == "single" else {"encoder", "world_model", "cost", "planner"}
        )
        assert set(found["peak_mib"]) == expected and min(found["peak_mib"].values()) > 10
    bars = [bar for bar in content["bars"] if "default settings" in bar["name"]]
    assert len(bars) == 2  # a quick run has too few plans for a p95 to be judged
    assert all(bar["met"] is None and "more --goals" in bar["note"] for bar in bars)
    assert (tmp_path / "bench.png").is_file() and not (tmp_path / "growth.png").exists()

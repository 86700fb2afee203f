"""`benchmarks/two_speeds.py` drives every task at its own pace and for its own budget."""

import json

import pytest
import two_speeds

from jepa_ros.data.collect import arm_spec
from jepa_ros.evaluation.closed_loop import pace
from jepa_ros.simulation.tasks import make_task


@pytest.mark.parametrize("name", ["reach", "far"])
def test_a_task_has_its_pace_and_its_budget(name, small_checkpoint, tmp_path, monkeypatch):
    task, real, budgets = make_task(name), two_speeds.run_episode, set()

    def noted(simulator, task, agent, seed, blocks, name):
        budgets.add(blocks)
        return real(simulator, task, agent, seed, 1, name)

    monkeypatch.setattr(two_speeds, "run_episode", noted)
    words = ["--checkpoint", str(small_checkpoint), "--task", name, "--episodes", "1", "--left", "0.5"]
    two_speeds.main([*words, "--json", str(tmp_path / "out.json")])
    found = json.loads((tmp_path / "out.json").read_text())
    assert {p["speed"] for p in found["planners"].values()} == {pace(task, arm_spec())}
    assert budgets == {task.blocks}
    assert found["command"].startswith("python benchmarks/two_speeds.py --checkpoint checkpoint")

"""Every node that reads a checkpoint takes the pinned one only, and none with code in its folder."""

import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from jepa_ros.srv import LoadCheckpoint
from node_bench import make_checkpoint

from jepa_ros.cli.main import main
from jepa_ros.errors import JepaError
from jepa_ros.nodes.bringup.graph import WITH_CHECKPOINT, Graph
from jepa_ros.nodes.cost import CostNode
from jepa_ros.nodes.describe.reference import NODES
from jepa_ros.nodes.encoder import EncoderNode
from jepa_ros.nodes.planner import PlannerNode
from jepa_ros.nodes.world_model import WorldModelNode
from jepa_ros.world_model.trust import file_sha256

READERS = (EncoderNode, WorldModelNode, CostNode, PlannerNode)
OTHER = "0" * 64


def digest_of(checkpoint):
    return file_sha256(Path(checkpoint) / "model.safetensors")


def test_all_that_read_a_checkpoint_can_be_pinned():
    pinned = {n.NAME for n in NODES if "checkpoint_sha256" in {p.name for p in n.PARAMS}}
    assert pinned == {n.NAME for n in READERS} == set(WITH_CHECKPOINT)


@pytest.mark.parametrize("kind", READERS, ids=lambda k: k.NAME)
def test_another_checkpoint_than_the_pinned_is_refused_with_both_digests(world, checkpoint, kind):
    pin = {"checkpoint": checkpoint, "checkpoint_sha256": OTHER}
    refused = world.make(kind, start=False, parameters=pin)
    assert not world.in_executor(refused.start)
    assert OTHER in refused.failure and digest_of(checkpoint) in refused.failure
    assert refused._state_machine.current_state[1] == "unconfigured"


@pytest.mark.parametrize("kind", READERS, ids=lambda k: k.NAME)
def test_pinned_checkpoint_is_taken_and_the_pin_stays(world, checkpoint, kind):
    node = world.make(kind, parameters={"checkpoint": checkpoint, "checkpoint_sha256": digest_of(checkpoint)})
    assert node.describe_parameter("checkpoint_sha256").read_only


def test_load_checkpoint_respects_the_pin(world, checkpoint, tmp_path):
    pin = {"checkpoint": checkpoint, "checkpoint_sha256": digest_of(checkpoint)}
    node = world.make(WorldModelNode, parameters=pin)
    before, other = node.model_id, make_checkpoint(tmp_path / "other", seed=5)
    answer = world.call(LoadCheckpoint, "world_model/load_checkpoint", LoadCheckpoint.Request(path=other))
    assert (
        not answer.success and digest_of(other) in answer.message and digest_of(checkpoint) in answer.message
    )
    assert answer.model_id == node.model_id == before
    copy = shutil.copytree(checkpoint, tmp_path / "copy")
    assert world.call(
        LoadCheckpoint, "world_model/load_checkpoint", LoadCheckpoint.Request(path=str(copy))
    ).success


@pytest.mark.parametrize("kind", [EncoderNode, WorldModelNode], ids=lambda k: k.NAME)
def test_folder_with_code_is_refused_by_name_and_not_run(world, checkpoint, tmp_path, kind):
    class Hostile:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "trace"),)

    folder = shutil.copytree(checkpoint, tmp_path / "copy")
    (folder / "best.pt").write_bytes(pickle.dumps(Hostile()))
    node = world.make(kind, start=False, parameters={"checkpoint": str(folder)})
    assert not world.in_executor(node.start)
    assert "best.pt: refused" in node.failure and "posix.mkdir" in node.failure
    assert not (tmp_path / "trace").exists()


def test_graph_pins_all_that_read_the_checkpoint(checkpoint):
    parameters = Graph(checkpoint=checkpoint, checkpoint_sha256=OTHER).node_parameters()
    assert {n for n, values in parameters.items() if values.get("checkpoint_sha256") == OTHER} == set(
        WITH_CHECKPOINT
    )
    assert parameters["action_publisher"]["model_id"] == OTHER[:12]
    assert "model_id" not in Graph(checkpoint=checkpoint).node_parameters()["action_publisher"]
    assert all("checkpoint_sha256" not in v for v in Graph(checkpoint=checkpoint).node_parameters().values())


@pytest.mark.parametrize("command", ["demo", "evaluate"])
def test_commands_refuse_another_checkpoint_before_anything_starts(
    command, checkpoint, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("jepa_ros.cli.demo_session.Simulator", JepaError)  # nothing may come so far
    assert main([command, "--checkpoint", checkpoint, "--sha256", OTHER]) == 2
    assert digest_of(checkpoint) in capsys.readouterr().err and not list(tmp_path.iterdir())


def test_params_file_with_a_python_tag_is_refused_and_not_run(tmp_path):
    trace, path = tmp_path / "trace", tmp_path / "hostile.yaml"
    path.write_text(
        f'/**:\n  ros__parameters:\n    output_type: !!python/object/apply:os.mkdir ["{trace}"]\n'
    )
    words = ["-m", "jepa_ros.nodes.action_publisher", "--ros-args", "--params-file", str(path)]
    ended = subprocess.run([sys.executable, *words], capture_output=True, text=True, timeout=60)
    assert ended.returncode == 2 and "output_type" in ended.stderr and not trace.exists()

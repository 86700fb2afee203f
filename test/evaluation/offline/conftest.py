"""A few recorded episodes of the simulated arm, seen by the shipped checkpoint."""

import shutil

import pytest
import torch

from jepa_ros.data.bag_files import find_bags
from jepa_ros.data.collect import CollectSettings, collect
from jepa_ros.data.recording_reader import read_recording
from jepa_ros.evaluation.offline.tracks import read_tracks
from jepa_ros.nodes.bringup.graph import find_checkpoint
from jepa_ros.world_model.checkpoint import load_checkpoint


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """As `jepa offline` and the live nodes compute."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def checkpoint():
    return load_checkpoint(find_checkpoint("reach"))


@pytest.fixture(scope="session")
def bags(tmp_path_factory):
    """Eight episodes of 40 frames."""
    out = tmp_path_factory.mktemp("bags")
    collect(out, 8, CollectSettings(frames=40), workers=1)
    yield find_bags(out)
    shutil.rmtree(out)


@pytest.fixture(scope="session")
def tracks(bags, checkpoint):
    return [t for b in bags for t in read_tracks(read_recording(b, spec=checkpoint.spec), checkpoint)]

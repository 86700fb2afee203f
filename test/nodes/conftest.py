"""Fixtures of the node tests; the bench itself is node_bench.py."""

import gc
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from node_bench import World, make_checkpoint  # noqa: E402


@pytest.fixture
def world():
    # A node is part of reference cycles, and until it is collected its DDS participant stays; with more than the 32
    # that discovery on one machine reaches, later graphs would not find each other.
    gc.collect()
    world = World()
    yield world
    world.close()


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory):
    """A small real checkpoint with random weights."""
    return make_checkpoint(tmp_path_factory.mktemp("checkpoint"))


@pytest.fixture
def image():
    """(64, 64, 3) uint8 RGB."""
    return np.random.default_rng(3).integers(0, 255, (64, 64, 3), dtype=np.uint8)

"""Fixtures of the node tests; the bench itself is node_bench.py."""

import gc
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from node_bench import World, make_checkpoint  # noqa: E402


@pytest.fixture(autouse=True, scope="module")
def nodes_of_other_files_are_gone() -> None:
    """For graphs that are made without a World."""
    gc.collect()


@pytest.fixture
def world():
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

"""The agent behind a camera encodes what changed, and counts what it did not."""

import numpy as np
import pytest

from jepa_ros.evaluation.bench.selective import CAMERA_S, REST_S, FilmAgent, FilmedSimulator
from jepa_ros.nodes.bringup.files import find_checkpoint
from jepa_ros.planning.config import PlannerConfig
from jepa_ros.simulation.simulator import Simulator
from jepa_ros.simulation.tasks import make_task
from jepa_ros.world_model.checkpoint import load_checkpoint


@pytest.fixture(scope="module")
def checkpoint():
    return load_checkpoint(find_checkpoint("reach"))


def pictures():
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (64, 64, 3), np.uint8) for _ in range(2)]


def test_the_same_picture_is_encoded_once_and_another_again(checkpoint):
    agent, (one, other) = FilmAgent(checkpoint, PlannerConfig(), threshold=2.0), pictures()
    latents = [agent.embed(picture) for picture in (one, one, other, other)]
    assert (agent.film.frames, agent.film.skipped) == (4, 2) and agent.film.ms > 0
    assert np.array_equal(latents[0], latents[1]) and np.array_equal(
        latents[3], checkpoint.model.embed(other)
    )


def test_without_a_threshold_everything_is_encoded(checkpoint):
    agent, (one, _) = FilmAgent(checkpoint, PlannerConfig(), threshold=0.0), pictures()
    for _ in range(3):
        agent.embed(one)
    assert (agent.film.frames, agent.film.skipped) == (3, 0)


def test_the_camera_shows_a_picture_every_so_often_and_a_still_arm_is_skipped(checkpoint):
    agent = FilmAgent(checkpoint, PlannerConfig(), threshold=2.0)
    camera = FilmedSimulator(Simulator("reach"))
    with camera.simulator:
        camera.begin(agent)
        camera.reset(make_task("reach").episode(1)[0])
        rest = camera.rest()
    assert rest.frames == agent.film.frames == pytest.approx(REST_S / CAMERA_S, abs=2)
    assert 0 < rest.skipped < rest.frames

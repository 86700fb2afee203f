"""Small settings, so that the whole folder runs in well under a minute."""

import pytest

from jepa_ros.evaluation.runner import Bench, Settings
from jepa_ros.planning.config import PlannerConfig

QUICK = PlannerConfig(samples=24, iterations=4, horizon=4, elites=6)


@pytest.fixture(scope="module")
def oracle_settings():
    """The simulator as world model, no checkpoint."""
    return Settings("reach", None, "oracle", QUICK, blocks=12)


@pytest.fixture(scope="module")
def bench(oracle_settings):
    """A simulator and the agents that need no checkpoint."""
    bench = Bench(oracle_settings)
    bench.simulator  # noqa: B018
    yield bench
    bench.simulator.close()

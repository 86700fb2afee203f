"""`benchmarks/bag_cache.py` says what was asked of it, and leaves the bags as they were."""

import json

import bag_cache
import pytest

from jepa_ros.data.collect import CollectSettings, collect


@pytest.fixture(scope="module")
def bags(tmp_path_factory):
    out = tmp_path_factory.mktemp("bags") / "reach"
    collect(out, 2, CollectSettings(frames=12), workers=1)
    return out


def changed(bags) -> dict:
    return {file: file.stat().st_mtime_ns for file in bags.rglob("*")}


def test_the_command_is_the_one_that_was_given_and_the_bags_stay_as_they_were(bags, tmp_path):
    before, out = changed(bags), tmp_path / "out.json"
    bag_cache.main(["--bags", str(bags), "--limit", "1", "--workers", "1", "--json", str(out)])
    found = json.loads(out.read_text())
    command = "python benchmarks/bag_cache.py --bags reach --limit 1 --workers 1 --json out.json"
    assert (found["command"], found["bags"]) == (command, 1)
    assert changed(bags) == before


def test_a_reading_that_fails_leaves_the_bags_as_they_were(bags, tmp_path, monkeypatch):
    before, real, readings = changed(bags), bag_cache.read_episodes, []

    def fails_at_last(*args, **options):
        readings.append(changed(bags) != before)
        if len(readings) == 5:
            raise OSError("the disk is full")
        return real(*args, **options)

    monkeypatch.setattr(bag_cache, "read_episodes", fails_at_last)
    with pytest.raises(OSError, match="the disk is full"):
        bag_cache.main(["--bags", str(bags), "--workers", "1"])
    assert readings == [False, False, False, False, True] and changed(bags) == before


def test_readings_shorter_than_the_figures_shown_still_compare(bags, tmp_path, monkeypatch):
    read = bag_cache.read_episodes([bags / "episode_00000"], workers=1)
    monkeypatch.setattr(bag_cache, "read_episodes", lambda *_, **__: read)
    found = bag_cache.measure([bags / "episode_00000"], tmp_path, workers=1)
    assert set(found["seconds"].values()) == {0.0} and found["times_faster"] > 0

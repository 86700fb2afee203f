"""What bags give is kept and taken from the cache, and never when it is of something else or damaged."""

import json
import logging
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import jepa_ros.data.bag_reader as bag_reader
import jepa_ros.data.cache as cache_module
from jepa_ros.data.bag_reader import read_episodes
from jepa_ros.data.cache import BagCache, default_folder
from jepa_ros.data.topics import Topics
from jepa_ros.errors import JepaError


@pytest.fixture
def kept(tmp_path) -> BagCache:
    return BagCache(tmp_path / "cache")


@pytest.fixture
def decoded(monkeypatch) -> list[str]:
    """The names of the bags that were really read."""
    names, read = [], bag_reader._read_bag

    def counting(path, job):
        names.append(path.name)
        return read(path, job)

    monkeypatch.setattr(bag_reader, "_read_bag", counting)
    return names


def read(path, spec=None, **options):
    return read_episodes(path, spec, **{"image_size": (8, 8), "workers": 1} | options)


def assert_same(one, other):
    (episodes, report), (again, second) = one, other
    assert len(episodes) == len(again) > 0
    for a, b in zip(episodes, again, strict=True):
        for name in ("images", "joint_positions", "actions", "stamps"):
            x, y = getattr(a, name), getattr(b, name)
            assert x.dtype == y.dtype and np.array_equal(x, y), name
        assert (a.source, a.metadata) == (b.source, b.metadata)
    assert report == second


def entries(cache: BagCache) -> list[Path]:
    return sorted(cache.folder.iterdir())


def test_the_second_reading_decodes_nothing_and_gives_the_same(recorded, tmp_path, kept, decoded):
    recorded("a")
    recorded("b", seed=1, frames=40)
    plain = read(tmp_path / "bags")
    first = read(tmp_path / "bags", cache=kept)
    assert decoded == ["a", "b"] * 2
    second = read(tmp_path / "bags", cache=kept)
    assert decoded == ["a", "b"] * 2
    assert_same(plain, first)
    assert_same(plain, second)


def test_many_bags_are_kept_by_the_processes_that_read_them(recorded, tmp_path, kept, decoded):
    for i in range(18):
        recorded(f"bag_{i:02d}", seed=i, frames=12)
    first = read(tmp_path / "bags", workers=2, cache=kept)
    assert len(entries(kept)) == 18 and decoded == []  # read in other processes
    assert_same(first, read(tmp_path / "bags", cache=kept))
    assert decoded == []


def test_problems_are_kept_too(recorded, tmp_path, kept, decoded):
    recorded("good")
    recorded("skipped", encoding="nonsense")
    (recorded("noted", seed=2) / "metadata.yaml").unlink()
    plain = read(tmp_path / "bags")
    assert {p.skipped for p in plain[1].problems} == {True, False}
    read(tmp_path / "bags", cache=kept)
    decoded.clear()
    assert_same(plain, read(tmp_path / "bags", cache=kept))
    assert decoded == []


def test_a_changed_bag_is_read_again_and_takes_its_old_place(
    recorded, robot_bag, walk, tmp_path, kept, decoded
):
    bag = recorded("a", frames=30)
    read(bag, cache=kept)
    status = (bag / "a.mcap").stat()
    os.utime(bag / "a.mcap", ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    read(bag, cache=kept)
    assert decoded == ["a", "a"] and len(entries(kept)) == 1
    (bag / "metadata.yaml").touch()
    read(bag, cache=kept)
    assert decoded == ["a", "a", "a"]


@pytest.mark.parametrize(
    "change",
    [
        {"image_size": (4, 4)},
        {"min_frames": 5},
        {"boundaries": ["gaps", "goals"]},
        {"topics": Topics(image="/jepa/image")},
        {"topics": Topics(stale_s={"image": 0.2})},
    ],
    ids=str,
)
def test_every_setting_has_its_own_entry(recorded, tmp_path, kept, decoded, change):
    recorded("a")
    read(tmp_path / "bags", cache=kept)
    assert_same(read(tmp_path / "bags", **change), read(tmp_path / "bags", cache=kept, **change))
    read(tmp_path / "bags", cache=kept)
    assert decoded == ["a"] * 3 and len(entries(kept)) == 2


def test_what_the_reader_does_not_use_of_a_spec_changes_nothing(recorded, spec, tmp_path, kept, decoded):
    recorded("a")
    read(tmp_path / "bags", spec, cache=kept)
    read(tmp_path / "bags", replace(spec, block=2, mean=(1.0,) * 3, std=(2.0,) * 3), cache=kept)
    assert decoded == ["a"]
    with pytest.raises(JepaError, match="another ActionSpec"):
        read(tmp_path / "bags", replace(spec, rate_hz=5.0), cache=kept)
    assert decoded == ["a", "a"]


def test_new_code_reads_again(recorded, tmp_path, kept, decoded, monkeypatch):
    recorded("a")
    read(tmp_path / "bags", cache=kept)
    monkeypatch.setattr(cache_module, "code_digest", lambda: "of another version")
    read(tmp_path / "bags", cache=kept)
    assert decoded == ["a", "a"]


def test_two_bags_of_one_name_are_two(recorded, tmp_path, kept):
    recorded("one/a")
    recorded("two/a", seed=1)
    bags = [tmp_path / "bags/one/a", tmp_path / "bags/two/a"]
    read(bags, cache=kept)
    assert_same(read(bags), read(bags, cache=kept))


@pytest.mark.parametrize("cut", [0, 5, 16, 300, -1])
def test_a_truncated_entry_is_made_anew(recorded, tmp_path, kept, decoded, cut):
    recorded("a")
    plain = read(tmp_path / "bags", cache=kept)
    (file,) = entries(kept)
    whole = file.read_bytes()
    file.write_bytes(whole[:cut])
    assert_same(plain, read(tmp_path / "bags", cache=kept))
    assert decoded == ["a", "a"] and file.read_bytes() == whole


def test_flipped_bytes_are_noticed_wherever_they_are(recorded, tmp_path, kept):
    recorded("a")
    plain = read(tmp_path / "bags", cache=kept)
    (file,) = entries(kept)
    whole = file.read_bytes()
    for offset in np.linspace(0, len(whole) - 1, 60).astype(int):
        damaged = bytearray(whole)
        damaged[offset] ^= 0x40
        file.write_bytes(damaged)
        assert_same(plain, read(tmp_path / "bags", cache=kept))


@pytest.mark.parametrize("from_bytes", [0, 2**62], ids=["mapped", "copied"])
def test_writing_to_an_episode_changes_no_file(recorded, tmp_path, kept, monkeypatch, from_bytes):
    monkeypatch.setattr(cache_module, "MAP_FROM_BYTES", from_bytes)
    recorded("a")
    plain = read(tmp_path / "bags", cache=kept)
    episode = read(tmp_path / "bags", cache=kept)[0][0]
    episode.images[:] = 255
    episode.actions[:] = 1
    assert_same(plain, read(tmp_path / "bags", cache=kept))


def test_what_the_machine_hindered_is_not_kept(recorded, tmp_path, kept, monkeypatch):
    recorded("a")
    recorded("b", seed=1)
    opened = bag_reader.read_recording

    def refuse(path, *rest):
        if path.name == "b":
            raise OSError(5, "Input/output error")
        return opened(path, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(bag_reader, "read_recording", refuse)
        assert [p.name for p in read(tmp_path / "bags", cache=kept)[1].skipped] == ["b"]
    assert read(tmp_path / "bags", cache=kept)[1].skipped == []


def test_a_bag_that_changes_while_it_is_read_is_not_kept(recorded, tmp_path, kept, monkeypatch):
    bag, opened = recorded("a"), bag_reader.read_recording

    def disturb(*args):
        (bag / "metadata.yaml").touch()
        return opened(*args)

    with monkeypatch.context() as patch:
        patch.setattr(bag_reader, "read_recording", disturb)
        read(tmp_path / "bags", cache=kept)
    assert entries(kept) == []


def test_the_least_used_entries_go_where_the_limit_is_reached(recorded, tmp_path, kept, decoded):
    bags = [recorded(name, seed=i) for i, name in enumerate("abc")]
    for bag in bags:
        read(bag, cache=kept)
    read(bags[0], cache=kept)
    small = replace(kept, limit_bytes=2 * kept.size() // 3 + 100)
    small.prune()
    assert small.size() <= small.limit_bytes and len(entries(kept)) == 2
    decoded.clear()
    for bag in bags:
        read(bag, cache=kept)
    assert decoded == ["b"]


def test_a_folder_that_cannot_be_written_is_refused_at_once(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(JepaError, match="--cache DIR, or --no-cache"):
        BagCache(tmp_path / "file" / "cache")


def test_a_full_disk_costs_the_entry_only(recorded, tmp_path, kept, monkeypatch, caplog):
    recorded("a")

    def full(*_):
        raise OSError(28, "No space left on device")

    logger = logging.getLogger("jepa_ros.data.cache")
    logger.addHandler(
        caplog.handler
    )  # ROS's launch, where a test has imported it, takes over the root logger
    try:
        with monkeypatch.context() as patch:
            patch.setattr(os, "replace", full)
            episodes, _ = read(tmp_path / "bags", cache=kept)
    finally:
        logger.removeHandler(caplog.handler)
    assert len(episodes) == 1 and entries(kept) == []
    assert "No space left" in caplog.text


def test_the_default_place_follows_xdg(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_folder() == tmp_path / "jepa_ros" / "bags"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")  # invalid by the specification: ignored
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_folder() == tmp_path / ".cache" / "jepa_ros" / "bags"


RACER = """
import json, sys
from pathlib import Path
from jepa_ros.data.bag_reader import read_episodes
from jepa_ros.data.cache import BagCache

bags, folder = map(Path, sys.argv[1:])
cache = BagCache(folder)
for _ in sys.stdin:  # a line starts a round
    episodes, report = read_episodes(bags, image_size=(8, 8), workers=1, cache=cache)
    sums = [int(e.images.sum()) for e in episodes]
    print(json.dumps([report.digest, sums, len(report.problems)]), flush=True)
    for file in folder.glob("*.bag"):
        file.unlink(missing_ok=True)
"""


def test_two_processes_race_for_one_cache(recorded, tmp_path):
    """Both read and write the same entries and remove them under each other; what they get stays right."""
    for i in range(6):
        recorded(f"bag_{i}", seed=i, frames=12)
    episodes, report = read(tmp_path / "bags")
    command = [sys.executable, "-c", RACER, str(tmp_path / "bags"), str(tmp_path / "cache")]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    racers = [subprocess.Popen(command, **pipes) for _ in range(2)]
    for _ in range(8):
        for racer in racers:
            print(file=racer.stdin, flush=True)
        for racer in racers:
            wanted = [report.digest, [int(e.images.sum()) for e in episodes], 0]
            assert json.loads(racer.stdout.readline()) == wanted
    for racer in racers:
        racer.communicate(timeout=30)
    assert [racer.returncode for racer in racers] == [0, 0]
    assert list((tmp_path / "cache").glob("*.partial")) == []

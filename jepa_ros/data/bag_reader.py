"""Reads recorded bags into episodes: any namespace, raw or compressed images, bags by the thousand.

A bag that cannot be used is named in the report with file and topic, and the healthy rest is kept.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import yaml
from rosbags.rosbag2 import Reader

from jepa_ros.data.action_spec import ActionSpec
from jepa_ros.data.bag_writer import CUSTOM_KEY
from jepa_ros.data.episodes import Episode
from jepa_ros.data.images import decode_compressed, decode_image, resize
from jepa_ros.data.load_report import LoadReport, Problem
from jepa_ros.data.messages import deserialize, stamp_ns
from jepa_ros.data.resample import Command, Streams, resample
from jepa_ros.errors import JepaError

IMAGE = "sensor_msgs/msg/Image"
COMPRESSED = "sensor_msgs/msg/CompressedImage"
JOINT_STATE = "sensor_msgs/msg/JointState"
TRAJECTORY = "trajectory_msgs/msg/JointTrajectory"
IMAGE_NAMES = ("image", "image_raw", "image_color", "image_rect", "image_rect_color")
BOUND_TOLERANCE = 1.05


@dataclass(frozen=True)
class Topics:
    """Full topic names; None finds the topic by its type and the end of its name.

    Searched: .../image (or image_raw, image_color, image_rect, and their /compressed), .../joint_states,
    .../joint_trajectory.
    """

    image: str | None = None
    joint_states: str | None = None
    command: str | None = None


@dataclass(frozen=True)
class _Job:
    spec: ActionSpec
    image_size: tuple[int, int]
    topics: Topics
    min_frames: int


@dataclass
class _BagResult:
    path: Path
    episodes: list[Episode] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    digest: str = ""


class _Unusable(Exception):
    """Why a bag is left out: topic (or "") and text."""

    def __init__(self, topic: str, text: str):
        super().__init__(text)
        self.topic, self.text = topic, text


def read_episodes(
    paths: Sequence[str | Path] | str | Path,
    spec: ActionSpec | None = None,
    image_size: tuple[int, int] = (64, 64),
    *,
    topics: Topics | None = None,
    workers: int = 2,
    min_frames: int = 8,
    progress: bool = False,
) -> tuple[list[Episode], LoadReport]:
    """Episodes of every healthy bag, and the report on all bags.

    paths: bags (folders with metadata.yaml, or .mcap and .db3 files), or folders searched for bags.
    spec: the contract to read by; None takes the one `jepa collect` wrote into the bags. A bag that carries
    another is skipped; K (spec.block) is the reader's choice and not compared.
    image_size: (h, w) of Episode.images; others are cropped to the aspect and resized.
    min_frames: shorter pieces are left out.  workers: processes.  progress: show a bar on stderr.
    Raises JepaError where no bag gives an episode.
    """
    bags = find_bags(paths)
    spec = spec or _recorded_spec(bags)
    job = _Job(spec, tuple(int(v) for v in image_size), topics or Topics(), min_frames)
    report = LoadReport(spec=spec)
    episodes, digests = [], []
    for result in _run(bags, job, workers, progress):
        report.problems += result.problems
        if not result.episodes:
            report.skipped.append(result.path)
            continue
        report.used.append(result.path)
        digests.append(result.digest)
        episodes += result.episodes
    report.episodes = len(episodes)
    report.frames = sum(len(e) for e in episodes)
    report.seconds = sum(len(e) - 1 for e in episodes) * spec.dt
    report.digest = "sha256:" + hashlib.sha256("\n".join(sorted(digests)).encode()).hexdigest()
    if not episodes:
        raise JepaError(f"no usable bag among {len(bags)}:\n" + "\n".join(f"  {p}" for p in report.problems))
    return episodes, report


def find_bags(paths: Sequence[str | Path] | str | Path) -> list[Path]:
    """Bags at or under the paths, sorted within each path; hidden folders (unfinished bags) are left out."""
    paths = [paths] if isinstance(paths, (str, Path)) else paths
    bags = []
    for path in map(Path, paths):
        if not path.exists():
            raise JepaError(f"{path}: no such file or folder; give a bag or a folder of bags")
        found = list(_walk(path))
        if not found:
            raise JepaError(
                f"{path}: no bag in it; expected metadata.yaml with .mcap or .db3 files, "
                "as `jepa collect` or `ros2 bag record` write them"
            )
        bags += found
    return list(dict.fromkeys(bags))


def _walk(path: Path):
    if path.is_file():
        if path.suffix in (".mcap", ".db3"):
            yield path
    elif (path / "metadata.yaml").exists():
        yield path
    else:
        children = sorted(c for c in path.iterdir() if not c.name.startswith("."))
        for child in children:
            yield from _walk(child)


def _recorded_spec(bags: list[Path]) -> ActionSpec:
    for bag in bags:
        try:
            with _open_bag(bag) as (_, metadata):
                pass
        except Exception:  # a damaged bag: reported when it is read in full
            continue
        if "action_spec" in metadata:
            return ActionSpec.from_dict(metadata["action_spec"])
    raise JepaError(
        f"none of the {len(bags)} bags carries an ActionSpec (bags recorded live do not); "
        "add bags of `jepa collect`, or give it: `jepa train --action-spec FILE`"
    )


def _run(bags: list[Path], job: _Job, workers: int, progress: bool):
    from tqdm import tqdm

    bar = tqdm(total=len(bags), desc="reading bags", unit="bag", disable=not progress)
    with bar:
        if workers <= 1 or len(bags) < 16:
            for bag in bags:
                yield _read_bag(bag, job)
                bar.update()
            return
        chunk = max(1, min(16, len(bags) // (4 * workers)))
        chunks = [bags[i : i + chunk] for i in range(0, len(bags), chunk)]
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            for results in pool.map(_read_chunk, chunks, [job] * len(chunks)):
                yield from results
                bar.update(len(results))


def _read_chunk(bags: list[Path], job: _Job) -> list[_BagResult]:
    return [_read_bag(bag, job) for bag in bags]


def _read_bag(path: Path, job: _Job) -> _BagResult:
    """One bag to episodes; never raises for what is wrong with the bag."""
    result = _BagResult(path)

    def note(topic: str, text: str, skipped: bool = False) -> None:
        result.problems.append(Problem(path, topic, text, skipped))

    try:
        if path.is_file() and not (path.parent / "metadata.yaml").exists():
            note(
                "", "metadata.yaml is missing beside it; read without it (`ros2 bag reindex` makes a new one)"
            )
        streams, images, metadata, command_topic = _read_streams(path, job, note)
        runs = resample(streams, job.spec)
        kept = [r for r in runs if len(r.stamps) >= job.min_frames]
        if not kept:
            raise _Unusable("", _why_no_frames(streams, runs, job))
        excess = max(float(np.max(np.abs(r.actions) / _bound(job.spec))) for r in kept)
        if excess > BOUND_TOLERANCE:
            note(
                command_topic,
                f"actions reach {excess:.2f} times the ActionSpec's bounds at {job.spec.rate_hz:g} Hz",
            )
        result.episodes = [
            Episode(
                images[r.image_index],
                r.joint_positions.astype(np.float32),
                r.actions.astype(np.float32),
                r.stamps,
                str(path),
                metadata,
            )
            for r in kept
        ]
        result.digest = _content_digest(path)
    except _Unusable as error:
        note(error.topic, error.text, skipped=True)
    except OSError as error:
        note("", f"cannot be read: {error}", skipped=True)
    except Exception as error:  # rosbags raises many kinds on damaged bytes
        note(
            "",
            f"damaged ({type(error).__name__}: {error}); repair it with `ros2 bag reindex` or `mcap recover` "
            "or remove it",
            skipped=True,
        )
    return result


def _bound(spec: ActionSpec) -> np.ndarray:
    return np.maximum(np.abs(spec.lower), np.abs(spec.upper))


def _read_streams(path: Path, job: _Job, note) -> tuple[Streams, np.ndarray, dict, str]:
    """(streams, images (n, h, w, 3) uint8, metadata, command topic) of one bag."""
    with _open_bag(path) as (reader, metadata):
        if "action_spec" in metadata:
            _require_same_contract(job.spec, ActionSpec.from_dict(metadata["action_spec"]))
        image, joints, command = _choose_topics(reader.connections, job.topics)
        image_times, images, joint_times, positions, commands = [], [], [], [], []
        joint_order, command_order = _JointOrder(job.spec, joints.topic), _JointOrder(job.spec, command.topic)
        not_finite, disordered = {joints.topic: 0, command.topic: 0}, 0
        left = sum(c.msgcount for c in (image, joints, command))
        for connection, logged, data in reader.messages([image, joints, command]):
            left -= 1
            message = deserialize(data, connection.msgtype)
            if connection.topic == image.topic:
                images.append(_pixels(message, connection, job.image_size))
                image_times.append((logged, stamp_ns(message)))
                continue
            if connection.topic == joints.topic:
                values = joint_order.pick(message.name, message.position)
                if values is None:
                    continue
                if np.all(np.isfinite(values)):
                    positions.append(values)
                    joint_times.append((logged, stamp_ns(message)))
                    continue
            else:
                points = [
                    command_order.pick(message.joint_names, p.positions, required=True)
                    for p in message.points
                ]
                if not points:
                    continue
                if np.all(np.isfinite(points)):
                    times = np.array(
                        [p.time_from_start.sec + p.time_from_start.nanosec * 1e-9 for p in message.points]
                    )
                    if times[0] < 0 or np.any(np.diff(times) <= 0):
                        disordered += 1
                    else:
                        commands.append(Command(logged, stamp_ns(message), np.array(points), times))
                    continue
            not_finite[connection.topic] += 1
    if left > 0:
        raise ValueError(f"{left} messages that its index counts are not in it")
    if not positions:
        if not_finite[joints.topic]:
            raise _Unusable(
                joints.topic, "every joint position is NaN or Inf; check the driver that publishes it"
            )
        raise _Unusable(joints.topic, joint_order.complaint())
    if not commands:
        raise _Unusable(command.topic, "no trajectory with finite points; record while the arm is driven")
    for topic, count in not_finite.items():
        if count:
            note(topic, f"{count} messages with NaN or Inf left out")
    if disordered:
        note(command.topic, f"{disordered} trajectories left out: their time_from_start does not increase")
    image_times, joint_times = np.array(image_times, np.int64), np.array(joint_times, np.int64)
    streams = Streams(
        image_times[:, 0],
        image_times[:, 1],
        joint_times[:, 0],
        joint_times[:, 1],
        np.array(positions),
        commands,
    )
    return streams, np.stack(images), metadata, command.topic


@contextmanager
def _open_bag(path: Path) -> Iterator[tuple[Reader, dict]]:
    """(open reader, what the recorder wrote into the bag's custom_data)."""
    file, custom = _single_file(path) if path.is_dir() else (path, None)
    with Reader(file) as reader:
        yield reader, _recorder_metadata(custom or reader.storage.metadata.custom or {})


def _single_file(path: Path) -> tuple[Path, dict | None]:
    """A plain bag's one MCAP file and its custom_data; other bags as they are, for rosbags to open or refuse.

    rosbags parses metadata.yaml in pure Python, which takes as long as reading fifty frames.
    """
    try:
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        text = (path / "metadata.yaml").read_text()
        info = yaml.load(text, loader)["rosbag2_bagfile_information"]
        (name,) = info["relative_file_paths"]
        if name.endswith(".mcap") and info.get("compression_mode", "").lower() in ("", "none"):
            return path / Path(name).name, info.get("custom_data")
    except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError, AttributeError):
        pass
    return path, None


def _recorder_metadata(custom: dict) -> dict:
    try:
        metadata = json.loads(custom.get(CUSTOM_KEY, "{}"))
    except ValueError as error:
        raise _Unusable("", f"metadata.yaml: custom_data {CUSTOM_KEY!r} is not JSON: {error}") from error
    return metadata if isinstance(metadata, dict) else {}


def _require_same_contract(ours: ActionSpec, theirs: ActionSpec) -> None:
    differing = [name for name in ours.differences(theirs) if name != "block"]
    if differing:
        sides = "; ".join(f"{n}: bag {getattr(theirs, n)}, wanted {getattr(ours, n)}" for n in differing)
        raise _Unusable("", f"recorded with another ActionSpec ({sides}); read it apart from the others")


def _choose_topics(connections, topics: Topics):
    """The connections of images, joint states and commands."""
    wanted = (
        (topics.image, (IMAGE, COMPRESSED), _is_image, "image or image/compressed"),
        (topics.joint_states, (JOINT_STATE,), lambda parts: parts[-1] == "joint_states", "joint_states"),
        (topics.command, (TRAJECTORY,), lambda parts: parts[-1] == "joint_trajectory", "joint_trajectory"),
    )
    chosen = []
    for name, kinds, matches, label in wanted:
        if name is None:
            found = [c for c in connections if c.msgtype in kinds and matches(c.topic.split("/"))]
        else:
            found = [c for c in connections if c.topic == name]
            other = [c.msgtype for c in found if c.msgtype not in kinds]
            if other:
                raise _Unusable(name, f"its type is {other[0]}; expected {' or '.join(kinds)}")
        filled = [c for c in found if c.msgcount]
        filled = [c for c in filled if c.msgtype == IMAGE] or filled
        if not filled:
            wants = f"{name or '.../' + label} ({' or '.join(kinds)})"
            if found:
                raise _Unusable(
                    found[0].topic, f"no messages in the bag; {wants} is needed, was it published?"
                )
            have = ", ".join(f"{c.topic} ({c.msgtype})" for c in connections) or "nothing"
            raise _Unusable(
                name or label,
                f"missing; {wants} is needed. The bag holds: {have}. Record the topic, or give its full name",
            )
        if len({c.topic for c in filled}) > 1:
            raise _Unusable(
                label,
                f"several topics match: {', '.join(c.topic for c in filled)}; give the full name of one "
                "(`jepa train --image-topic`, `--joint-states-topic`, `--command-topic`)",
            )
        chosen.append(filled[0])
    return chosen


def _is_image(parts: list[str]) -> bool:
    return (parts[-2] if parts[-1] == "compressed" and len(parts) > 1 else parts[-1]) in IMAGE_NAMES


def _pixels(message, connection, size: tuple[int, int]) -> np.ndarray:
    try:
        if connection.msgtype == COMPRESSED:
            image = decode_compressed(message.format, message.data)
        else:
            image = decode_image(message.encoding, message.height, message.width, message.step, message.data)
    except JepaError as error:
        raise _Unusable(connection.topic, str(error)) from error
    return resize(image, size)


class _JointOrder:
    """Picks the spec's joints out of messages that name theirs in any order, with others among them."""

    def __init__(self, spec: ActionSpec, topic: str):
        self.names, self.topic = spec.joint_names, topic
        self._orders: dict[tuple[str, ...], list[int] | None] = {}

    def pick(self, names: list[str], values: np.ndarray, required: bool = False) -> np.ndarray | None:
        """(A,) values in spec order; None where the message lacks a joint, or _Unusable where `required`."""
        key = tuple(names)
        if key not in self._orders:
            self._orders[key] = [key.index(n) for n in self.names] if set(self.names) <= set(key) else None
        order = self._orders[key]
        if order is None or len(values) != len(key):
            if required or order is not None:
                raise _Unusable(
                    self.topic,
                    self.complaint()
                    if order is None
                    else f"{len(values)} positions for {len(key)} joint names; check its publisher",
                )
            return None
        return values[order]

    def complaint(self) -> str:
        seen = next((k for k, order in self._orders.items() if order is None), ())
        missing = [n for n in self.names if n not in seen]
        return (
            f"joints {missing} are missing; the messages name {list(seen)}. "
            "Read with the ActionSpec of this robot, or correct its joint names"
        )


def _why_no_frames(streams: Streams, runs: list, job: _Job) -> str:
    longest = max((len(r.stamps) for r in runs), default=0)
    rates = [
        f"{kind} {1e9 / np.median(np.diff(stamps)):.1f} Hz"
        if len(stamps) > 1 and np.median(np.diff(stamps)) > 0
        else f"{kind}: {len(stamps)} messages"
        for kind, stamps in (("images", streams.image_stamps), ("joint states", streams.joint_stamps))
    ]
    return (
        f"no run of {job.min_frames} frames at {job.spec.rate_hz:g} Hz "
        f"(longest {longest}; {', '.join(rates)}); "
        "record both topics at that rate or faster, with the same clock in their header stamps"
    )


def _content_digest(path: Path) -> str:
    files = (
        [path]
        if path.is_file()
        else sorted(f for f in path.iterdir() if f.suffix in (".mcap", ".db3", ".zstd"))
    )
    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()

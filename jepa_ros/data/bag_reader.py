"""Reads recorded bags into episodes: any namespace, raw or compressed images, bags by the thousand.

A bag that cannot be used is named in the report with file and topic, and the healthy rest is kept.
"""

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from jepa_ros.data.action_spec import ActionSpec
from jepa_ros.data.bag_files import BagFile, content_digest, find_bags
from jepa_ros.data.boundaries import require_known
from jepa_ros.data.cache import BagCache
from jepa_ros.data.episodes import Episode
from jepa_ros.data.load_report import BagResult, LoadReport, Problem
from jepa_ros.data.recording import Recording
from jepa_ros.data.recording_reader import read_recording
from jepa_ros.data.topics import TopicProblem, Topics
from jepa_ros.errors import JepaError

BOUND_TOLERANCE = 1.25
"""Of the largest action, told above it. A command is streamed in setpoints of a fifth of an action each, 20 ms apart on
average: where they come unevenly, a frame of 0.1 s holds a sixth one, which is up to 1.2 times the largest action. In a
demo's bags (62 frames) the one frame above 1.05 held six, and 1.055 times; plans sent whole, 781 frames, reach 1.00."""


@dataclass(frozen=True)
class _Job:
    spec: ActionSpec
    image_size: tuple[int, int]
    topics: Topics
    min_frames: int
    boundaries: tuple[str, ...]
    cache: BagCache | None

    @property
    def settings(self) -> dict:
        """All that decides what a bag gives, JSON-able. What the spec says of training does not."""
        contract = {k: v for k, v in self.spec.to_dict().items() if k not in ("block", "mean", "std")}
        values = {"spec": contract, "image_size": self.image_size, "min_frames": self.min_frames}
        return values | {"topics": asdict(self.topics), "boundaries": sorted(self.boundaries)}


def read_episodes(
    paths: Sequence[str | Path] | str | Path,
    spec: ActionSpec | None = None,
    image_size: tuple[int, int] = (64, 64),
    *,
    topics: Topics | None = None,
    boundaries: Sequence[str] = ("gaps",),
    workers: int = 2,
    min_frames: int = 8,
    cache: BagCache | None = None,
    progress: bool = False,
) -> tuple[list[Episode], LoadReport]:
    """Episodes of every healthy bag, and the report on all bags.

    paths: bags (folders with metadata.yaml, or .mcap and .db3 files), or folders searched for bags.
    spec: the contract to read by; None takes the one `jepa collect` wrote into the bags. A bag that carries
    another is skipped; K (spec.block) is the reader's choice and not compared.
    image_size: (h, w) of Episode.images; others are cropped to the aspect and resized.
    boundaries: what begins an episode, see data/boundaries.py.  min_frames: shorter pieces are left out.
    workers: processes.  cache: where what bags give is kept and taken from; None reads them all.
    progress: show a bar on stderr. Raises JepaError where no bag gives an episode.
    """
    require_known(boundaries)
    bags = find_bags(paths)
    spec = spec or _recorded_spec(bags)
    size = tuple(int(v) for v in image_size)
    job = _Job(spec, size, topics or Topics(), min_frames, tuple(boundaries), cache)
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
    if cache is not None:
        cache.prune()
    report.episodes = len(episodes)
    report.frames = sum(len(e) for e in episodes)
    report.seconds = sum(len(e) - 1 for e in episodes) * spec.dt
    report.digest = "sha256:" + hashlib.sha256("\n".join(sorted(digests)).encode()).hexdigest()
    if not episodes:
        raise JepaError(f"no usable bag among {len(bags)}:\n" + "\n".join(f"  {p}" for p in report.problems))
    return episodes, report


def _recorded_spec(bags: list[Path]) -> ActionSpec:
    for bag in bags:
        try:
            with BagFile(bag) as file:
                metadata = file.metadata
        except (JepaError, OSError):  # damaged: reported when it is read in full
            continue
        if "action_spec" in metadata:
            return ActionSpec.from_dict(metadata["action_spec"])
    raise JepaError(
        f"none of the {len(bags)} bags carries an ActionSpec (bags of `ros2 bag record` do not); "
        "add bags of `jepa collect` or `jepa record`, or give it: `jepa train --action-spec FILE`"
    )


def _run(bags: list[Path], job: _Job, workers: int, progress: bool) -> Iterator[BagResult]:
    """Every bag's result, in order."""
    from tqdm import tqdm

    kept = {}
    if job.cache is not None:
        settings = job.settings
        kept = {bag: job.cache.load(bag, settings) for bag in bags}
        kept = {bag: result for bag, result in kept.items() if result is not None}
    fresh = _read_all([bag for bag in bags if bag not in kept], job, workers)
    for bag in tqdm(bags, desc="reading bags", unit="bag", disable=not progress):
        yield kept.pop(bag) if bag in kept else next(fresh)


def _read_all(bags: list[Path], job: _Job, workers: int) -> Iterator[BagResult]:
    if workers <= 1 or len(bags) < 16:
        yield from _read_chunk(bags, job)
        return
    chunk = max(1, min(16, len(bags) // (4 * workers)))
    chunks = [bags[i : i + chunk] for i in range(0, len(bags), chunk)]
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        try:
            for results in pool.map(_read_list, chunks, [job] * len(chunks)):
                yield from results
        except BrokenProcessPool as error:
            raise JepaError(
                f"a process that read bags ended unexpectedly ({error}); is there memory for all pictures? With a cache "
                "the same command goes on where it stopped"
            ) from error


def _read_list(bags: list[Path], job: _Job) -> list[BagResult]:
    return list(_read_chunk(bags, job))


def _read_chunk(bags: list[Path], job: _Job) -> Iterator[BagResult]:
    """Read, and keep in the job's cache."""
    settings = job.settings
    for bag in bags:
        identity = job.cache.identity(bag, settings) if job.cache is not None else None
        result = _read_bag(bag, job)
        if identity is not None and result.lasting:
            job.cache.store(result, settings, identity)
        yield result


def _read_bag(path: Path, job: _Job) -> BagResult:
    """One bag to episodes; never raises for what is wrong with the bag."""
    result = BagResult(path)

    def skip(topic: str, text: str) -> BagResult:
        result.problems.append(Problem(path, topic, text, True))
        return result

    try:
        recording = read_recording(path, job.topics, job.spec, job.boundaries)
        kept = recording.read_frames(job.image_size, np.copy, job.min_frames)
        result.problems += recording.problems
        if not kept:
            return skip("", _why_no_frames(recording, job))
        excess = max(float(np.max(np.abs(frames.actions) / _bound(job.spec))) for frames, _ in kept)
        if excess > BOUND_TOLERANCE:
            text = f"actions reach {excess:.2f} times the ActionSpec's bounds at {job.spec.rate_hz:g} Hz"
            result.problems.append(Problem(path, recording.topics["command"], text, False))
        result.digest = content_digest(path)
    except TopicProblem as error:
        return skip(error.topic, error.text)
    except JepaError as error:
        return skip("", str(error).removeprefix(f"{path}: "))
    except OSError as error:
        result.lasting = False
        return skip("", f"cannot be read: {error}")
    result.episodes = [
        Episode(
            np.stack(images),
            frames.joint_positions.astype(np.float32),
            frames.actions.astype(np.float32),
            frames.stamps,
            str(path),
            recording.metadata,
        )
        for frames, images in kept
    ]
    return result


def _bound(spec: ActionSpec) -> np.ndarray:
    return np.maximum(np.abs(spec.lower), np.abs(spec.upper))


def _why_no_frames(recording: Recording, job: _Job) -> str:
    streams = recording.streams
    longest = max((len(r.stamps) for r in recording.frames()), default=0)
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

"""Offline evaluation: recorded bags and one or two checkpoints in, a result out. No ROS; the live nodes' classes.

The same bags, checkpoints and settings give the same result, but for the time it took.
"""

import math
import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
from tqdm import tqdm

from jepa_ros.data.bag_check import check
from jepa_ros.data.bag_files import content_digest, find_bags
from jepa_ros.data.images import resize
from jepa_ros.data.recording import Recording
from jepa_ros.data.recording_reader import read_recording
from jepa_ros.data.topics import Topics
from jepa_ros.errors import JepaError
from jepa_ros.evaluation import provenance
from jepa_ros.evaluation.offline import timing
from jepa_ros.evaluation.offline.actions import Comparison, Replanner, summarise
from jepa_ros.evaluation.offline.compare import Evidence, compare
from jepa_ros.evaluation.offline.findings import findings
from jepa_ros.evaluation.offline.health import health
from jepa_ros.evaluation.offline.landscape import choose_frames, landscape
from jepa_ros.evaluation.offline.prediction import prediction
from jepa_ros.evaluation.offline.progress import goal_distance
from jepa_ros.evaluation.offline.reproduce import Reproduction, merge, reproduce
from jepa_ros.evaluation.offline.rollouts import Errors, open_loop
from jepa_ros.evaluation.offline.surprise import surprise
from jepa_ros.evaluation.offline.tracks import Track, read_tracks
from jepa_ros.planning.config import PlannerConfig
from jepa_ros.world_model.checkpoint import Checkpoint

FORMAT = 1
THUMBNAIL_PX = 160
WORKERS = 4
"""Threads that plan, where there are cores: each plan is seeded by itself, the result is that of one thread."""
_RECORDER_KEYS = (
    "recorder",
    "date",
    "commit",
    "model_id",
    "sha256",
    "checkpoint",
    "task",
    "seed",
    "behaviour",
    "lost",
)


@dataclass(frozen=True)
class Settings:
    """horizon: H, blocks to predict and plan ahead.  plan_every_s: recorded s between two frames that are planned
    from.  landscapes: energy landscapes per checkpoint.  seed: of every random draw.  plans: False leaves out all
    that needs planning."""

    horizon: int = PlannerConfig.horizon
    plan_every_s: float = 2.0
    landscapes: int = 4
    seed: int = 0
    plans: bool = True

    def __post_init__(self):
        if self.horizon < 1:
            raise JepaError(f"horizon is {self.horizon}; it must be at least 1 block")
        if not 0 < self.plan_every_s < math.inf:
            raise JepaError(f"plan_every_s is {self.plan_every_s}; it must be positive")


@dataclass(frozen=True)
class Outcome:
    """result: what `--json` writes.  thumbnails: (h, w, 3) uint8 RGB, counted by the result's "thumbnail"."""

    result: dict
    thumbnails: list[np.ndarray]


@dataclass
class _Subject:
    """A checkpoint and what the bags gave for it."""

    name: str
    checkpoint: Checkpoint
    tracks: list[Track] = field(default_factory=list)
    reproductions: list[Reproduction] = field(default_factory=list)


def run_offline(
    bags: Sequence[str | Path],
    checkpoints: Sequence[Checkpoint],
    settings: Settings | None = None,
    *,
    topics: Topics | None = None,
    boundaries: Sequence[str] = ("gaps",),
    progress: bool = False,
) -> Outcome:
    """Evaluate one or two checkpoints on every bag found at ``bags``.

    topics, boundaries: as in read_recording.  progress: bars on stderr. A bag that cannot be used is an entry
    with an error; JepaError where none can, or where the checkpoints are for different robots.
    """
    settings, began = settings or Settings(), time.monotonic()
    if not 1 <= len(checkpoints) <= 2:
        raise JepaError(f"{len(checkpoints)} checkpoints: give one, or two to compare")
    spec = checkpoints[0].spec
    for other in checkpoints[1:]:
        spec.require_match(other.spec, f"checkpoint {checkpoints[0].path}", f"checkpoint {other.path}")
    subjects = [
        _Subject(n, c) for n, c in zip(_names([c.path for c in checkpoints]), checkpoints, strict=True)
    ]
    paths = find_bags(bags)
    entries, recordings = [], {}
    for path, name in zip(
        tqdm(paths, "reading bags", unit="bag", disable=not progress), _names(paths), strict=True
    ):
        try:
            recording = read_recording(path, topics, spec, boundaries)
            entries.append(_read(name, recording, subjects))
            recordings[name] = recording
        except JepaError as error:
            entries.append(_unusable(name, path, str(error)))
    if not any(s.tracks for s in subjects):
        said = "\n".join(f"  {e['name']}: {p['text']}" for e in entries for p in e["problems"])
        raise JepaError(f"none of the {len(paths)} bags gives an episode to evaluate:\n{said}")
    evidences = [Evidence(s.name) for s in subjects]
    measured = [_measure(s, e, settings, progress) for s, e in zip(subjects, evidences, strict=True)]
    recorded = sum(e["seconds"] for e in entries)
    result = {
        "format": FORMAT,
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "commit": provenance.source_commit(),
        "machine": provenance.machine(),
        "libraries": provenance.libraries(),
        "settings": asdict(settings)
        | {"block": spec.block, "rate_hz": spec.rate_hz, "boundaries": list(boundaries)}
        | {"planner": asdict(PlannerConfig(horizon=settings.horizon))},
        "bags": entries,
        "checkpoints": [
            {
                "name": s.name,
                "path": _shown(s.checkpoint.path),
                "model_id": s.checkpoint.model_id,
                "runtime": s.checkpoint.model.runtime,
                "measures": m,
            }
            for s, m in zip(subjects, measured, strict=True)
        ],
        "comparison": compare(*evidences, settings.seed) if len(evidences) == 2 else None,
    }
    thumbnails = _take_thumbnails(measured, recordings)
    spent = time.monotonic() - began
    result["speed"] = {"recorded_s": recorded, "spent_s": spent, "times_real_time": recorded / spent}
    result = plain(result)
    result["findings"] = findings(result)
    return Outcome(result, thumbnails)


def plain(value):
    """The value as JSON knows it: NumPy's numbers as Python's, NaN and Inf as None."""
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _names(paths: Sequence[Path]) -> list[str]:
    """The last folder of every path; as many as it takes to tell them apart."""
    names = [p.name for p in paths]
    if len(set(names)) == len(names):
        return names
    shared = Path(os.path.commonpath([p.absolute().parent for p in paths]))
    longer = [str(p.absolute().relative_to(shared)) for p in paths]
    return [f"{n} ({i + 1})" if longer.count(n) > 1 else n for i, n in enumerate(longer)]


def _shown(path: Path) -> str:
    """Relative to the current folder where it lies in there."""
    path, here = path.absolute(), Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def _read(name: str, recording: Recording, subjects: Sequence[_Subject]) -> dict:
    """Encode one bag for every checkpoint; returns its entry."""
    frames = episodes = 0
    for subject in subjects:
        tracks = [replace(t, bag=name) for t in read_tracks(recording, subject.checkpoint)]
        again = reproduce(recording, subject.checkpoint)
        subject.tracks += tracks
        subject.reproductions += [again] if again else []
        frames, episodes = sum(map(len, tracks)), len(tracks)
    logs = recording.logs.values()
    seconds = (max(log.log_ns.max() for log in logs) - min(log.log_ns.min() for log in logs)) * 1e-9
    return {
        "name": name,
        "path": _shown(recording.path),
        "digest": "sha256:" + content_digest(recording.path),
        "seconds": float(seconds),
        "frames": frames,
        "episodes": episodes,
        "recorder": {k: recording.metadata[k] for k in _RECORDER_KEYS if k in recording.metadata},
        "topics": [timing.topic(log) for log in logs],
        "stages": timing.stages(recording),
        **timing.counts(recording),
        "problems": check(recording),
    }


def _unusable(name: str, path: Path, text: str) -> dict:
    problem = {
        "severity": "error", "kind": "unusable", "topic": "", "text": text.removeprefix(f"{path}: "),
        "stamp_s": None, "count": 1,
    }  # fmt: skip
    return {
        "name": name, "path": str(path), "digest": "", "seconds": 0.0, "frames": 0, "episodes": 0, "recorder": {},
        "topics": [], "stages": {}, "deadline_misses": None, "late_answers": None, "vetoed": None,
        "problems": [problem],
    }  # fmt: skip


def _measure(subject: _Subject, evidence: Evidence, settings: Settings, progress: bool) -> dict:
    checkpoint, tracks = subject.checkpoint, subject.tracks
    calibration, block = checkpoint.calibration, checkpoint.spec.block
    errors = open_loop(tracks, checkpoint.model, settings.horizon, settings.seed)
    actions, landscapes = None, []
    if settings.plans:
        replanner = Replanner(checkpoint, PlannerConfig(horizon=settings.horizon), settings.seed)
        places = replanner.moments(tracks, settings.plan_every_s)
        comparisons: dict[tuple[str, int], list[Comparison]] = {}
        with ThreadPoolExecutor(min(WORKERS, len(os.sched_getaffinity(0)))) as pool:
            found = pool.map(lambda place: replanner.compare(*place), places)
            shown = tqdm(found, f"planning, {subject.name}", len(places), unit="plan", disable=not progress)
            for (track, _), comparison in zip(places, shown, strict=True):
                comparisons.setdefault((track.bag, track.index), []).append(comparison)
        actions = summarise(list(comparisons.values()), checkpoint.spec.joint_names)
        landscapes = [
            landscape(replanner, t, f) for t, f in choose_frames(replanner, tracks, settings.landscapes)
        ]
        for key, rows in comparisons.items():
            evidence.add("rank", key, [c.rank for c in rows])
            evidence.add("cosine", key, [c.cosine for c in rows])
    measures = {
        "prediction": prediction(errors, settings.seed),
        "actions": actions,
        "goal_distance": goal_distance(tracks, settings.seed),
        "landscapes": landscapes,
        "surprise": surprise(errors, calibration, block),
        "health": health(tracks, calibration),
        "reproduced": merge(subject.reproductions),
    }
    _testify(evidence, errors, measures)
    return measures


def _testify(evidence: Evidence, errors: Sequence[Errors], measures: dict) -> None:
    """Note the values per episode that comparisons need."""
    threshold = measures["surprise"] and measures["surprise"]["threshold"]
    for e in errors:
        key = (e.track.bag, e.track.index)
        last = np.flatnonzero(np.any(np.isfinite(e.model), axis=0))[-1]
        evidence.add("error_1", key, np.stack([e.model[:, 0], e.copy_last[:, 0]], 1))
        whole = np.isfinite(e.model[:, last])
        evidence.add("error_h", key, np.stack([e.model[whole, last], e.copy_last[whole, last]], 1))
        evidence.add("blind", key, np.stack([e.model[:, 0], e.shuffled[:, 0]], 1))
        if threshold is not None:
            evidence.add("surprising", key, e.model[:, 0] > threshold)
    for episode in (measures["goal_distance"] or {"episodes": []})["episodes"]:
        for name in ("spearman_time", "spearman_distance"):
            if episode[name] is not None:
                evidence.add(name, (episode["bag"], episode["episode"]), [episode[name]])
    ood = measures["health"]["ood"]
    for series in measures["health"]["series"] if ood else ():
        above = np.array(series["ood"]) > ood["threshold"]
        evidence.add("unfamiliar", (series["bag"], series["episode"]), above)


def _take_thumbnails(measured: Sequence[dict], recordings: dict[str, Recording]) -> list[np.ndarray]:
    """Fetch the images of spikes and landscapes, and number them there."""
    wanting: dict[str, dict[int, list[dict]]] = {}
    for measures in measured:
        for item in [*(measures["surprise"] or {"highest": []})["highest"], *measures["landscapes"]]:
            wanting.setdefault(item["bag"], {}).setdefault(item["image_index"], []).append(item)
    thumbnails = []
    for name, wanted in wanting.items():
        for index, image in recordings[name].images(sorted(wanted), None):
            scale = min(1.0, THUMBNAIL_PX / image.shape[1])
            size = max(1, round(image.shape[0] * scale)), max(1, round(image.shape[1] * scale))
            for item in wanted[index]:
                item["thumbnail"] = len(thumbnails)
            thumbnails.append(resize(image, size))
    return thumbnails

"""A LeRobot dataset to bags, one per episode, as the live graph would have recorded it.

`action` is taken as the absolute joint target that holds one frame later. In a dataset of ours the target at
the first frame is known too (TARGET); in another it is not, so reading its bags begins at the second frame.
"""

import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path

import numpy as np

from jepa_ros.data.action_spec import ActionSpec
from jepa_ros.data.bag_writer import partial_folder
from jepa_ros.data.episode_bag import EpisodeBag
from jepa_ros.data.images import resize
from jepa_ros.data.lerobot import layout
from jepa_ros.data.lerobot.dataset_reader import DatasetReader, LeRobotEpisode
from jepa_ros.data.lerobot.joints import DatasetJoints, Motion
from jepa_ros.errors import JepaError

FIRST_STAMP_S = 10.0
"""Where the clock of an episode begins that brings no stamp along."""
BOUND_MARGIN, POSITION_MARGIN_RAD, LEAST_BOUND_RAD = 1.1, 0.05, 1e-3
"""Of an ActionSpec made from data: room beyond what was seen."""
LARGEST_RAD = 4 * np.pi


@dataclass
class ImportReport:
    """What import_dataset wrote. notes: what the user should know of the data."""

    out: Path
    spec: ActionSpec
    bags: int = 0
    frames: int = 0
    notes: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        head = (
            f"{self.out}: {self.bags} bags, {self.frames} frames, ActionSpec of {self.spec.dim} joints at "
            f"{self.spec.rate_hz:g} Hz"
        )
        return "\n".join([head, *(f"note: {note}" for note in self.notes)])


def import_dataset(
    root: str | Path,
    out: str | Path,
    spec: ActionSpec | None = None,
    *,
    camera: str | None = None,
    degrees: bool = False,
    joint_names: Sequence[str] | None = None,
    rate_hz: float | None = None,
    image_size: tuple[int, int] | None = None,
    namespace: str = "jepa",
    progress: bool = False,
) -> ImportReport:
    """Write every episode as a bag: out/episode_000000 and so on. `out` appears when all are written.

    spec: the contract of the bags, of all or some of the dataset's joints; None: the dataset's own, if it is
    ours, else one made from what the data shows, at rate_hz (None: the dataset's frames per second). The bags
    keep every frame, reading them resamples by stamp.
    camera: the image feature, where there are several.  degrees: state and action are in degrees.
    joint_names: what the dataset's joints are called here, in its order.
    image_size: (h, w); None: as they are.  Raises JepaError for what is no such dataset, or not complete.
    """
    from tqdm import tqdm

    reader, out = DatasetReader(root), Path(out)
    camera = reader.camera(camera)
    reader.require_videos(camera)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise JepaError(f"{out} is not empty; choose an empty or new folder")
    joints = DatasetJoints.find(reader, joint_names, degrees)
    report = ImportReport(out, _choose_spec(reader, joints, spec, rate_hz, degrees))
    order = joints.order(report.spec)
    if layout.TARGET not in reader.features:
        report.notes.append(
            "the target at an episode's first frame is not known: reading begins at the second"
        )
    partial, peak = partial_folder(out), 0.0
    shutil.rmtree(partial, ignore_errors=True)
    try:
        bar = tqdm(total=len(reader), desc="writing bags", unit="bag", disable=not progress)
        with bar:
            for episode in reader.episodes(joints.columns):
                motion = joints.motion(episode, order, reader.fps)
                images = reader.images(episode, camera)
                if image_size is not None:
                    images = (resize(image, image_size) for image in images)
                path = partial / f"episode_{episode.index:06d}"
                metadata = _metadata(reader, episode)
                _write_bag(
                    path, report.spec, motion, images, _start(episode, reader.fps), namespace, metadata
                )
                peak = max(peak, float(np.max(np.abs(motion.states))))
                report.bags += 1
                report.frames += len(episode)
                bar.update()
        if out.exists():
            out.rmdir()
        partial.rename(out)
    except OSError as error:
        raise JepaError(f"{out}: cannot be written ({error})") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    if peak > LARGEST_RAD:
        report.notes.append(
            f"joints reach {peak:.0f} rad: are they degrees (--degrees), or percent of a range?"
        )
    return report


def _choose_spec(
    reader: DatasetReader,
    joints: DatasetJoints,
    spec: ActionSpec | None,
    rate_hz: float | None,
    degrees: bool,
) -> ActionSpec:
    values = (reader.info.get(layout.OWN) or {}).get("action_spec")
    if values is not None:
        if degrees or rate_hz:
            raise JepaError(
                f"{reader.root}: it was made from bags and carries its ActionSpec; leave --degrees and "
                "--rate-hz out"
            )
        return spec or replace(ActionSpec.from_dict(values), joint_names=joints.names)
    return spec or spec_from_data(reader, joints, rate_hz or reader.fps)


def spec_from_data(reader: DatasetReader, joints: DatasetJoints, rate_hz: float) -> ActionSpec:
    """A contract that holds all the motion in a dataset: bounds and limits a little beyond what was seen."""
    lowest, highest, bound = np.inf, -np.inf, np.full(len(joints.names), LEAST_BOUND_RAD)
    for episode in reader.episodes(joints.columns):
        motion = joints.motion(episode, range(len(joints.names)), reader.fps)
        both = np.concatenate([motion.states, motion.following])
        lowest, highest = np.minimum(lowest, both.min(0)), np.maximum(highest, both.max(0))
        times = motion.times[1:]  # of following[:-1]
        for joint, targets in enumerate(motion.following[:-1].T):
            if len(times):
                change = np.abs(np.interp(times + 1 / rate_hz, times, targets) - targets)
                bound[joint] = max(bound[joint], BOUND_MARGIN * change.max())
    return ActionSpec(
        joints.names,
        -bound,
        bound,
        lowest - POSITION_MARGIN_RAD,
        highest + POSITION_MARGIN_RAD,
        rate_hz=rate_hz,
    )


def _write_bag(
    path: Path,
    spec: ActionSpec,
    motion: Motion,
    images: Iterator[np.ndarray],
    start: float,
    namespace: str,
    metadata: dict,
) -> None:
    """start: s, where the bag's clock begins."""
    times, steps = start + motion.times, np.diff(motion.times)
    first = next(images)
    not_calibrated = {"width": first.shape[1], "height": first.shape[0], "k": np.zeros((3, 3))}
    velocities = np.gradient(motion.states, motion.times, axis=0) if len(times) > 1 else 0 * motion.states
    with EpisodeBag(path, spec, not_calibrated, namespace, metadata) as bag:
        if motion.first_target is not None:
            bag.command(times[0] - spec.dt, motion.first_target)
        for t, image in enumerate(chain([first], images)):
            bag.observe(times[t], image, motion.states[t], velocities[t])
            if t < len(steps):
                bag.command(times[t], motion.following[t], steps[t])


def _start(episode: LeRobotEpisode, fps: float) -> float:
    """s: where the clock of the episode's bag begins, if it may begin there."""
    stamp = episode.row.get(f"{layout.OWN}/stamp_s")
    return stamp if stamp is not None and stamp > 2 / fps else FIRST_STAMP_S


def _metadata(reader: DatasetReader, episode: LeRobotEpisode) -> dict:
    """What the first recorder wrote, if there was one, and where the episode comes from."""
    tasks = list(episode.tasks)
    own = json.loads(episode.row.get(f"{layout.OWN}/metadata") or "{}")
    source = {"dataset": reader.root.resolve().name, "episode": episode.index, "tasks": tasks}
    return {"task": tasks[0] if tasks else "", **own, "lerobot": source}

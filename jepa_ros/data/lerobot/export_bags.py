"""Bags to a LeRobot dataset: one episode per run of frames, resampled as for training.

`observation.state` is the measured joints, `action` the commanded target one frame later, as LeRobot's own
recordings have it. TARGET is the commanded target at the frame, in float64: its differences are our actions.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from jepa_ros.data.action_spec import ActionSpec
from jepa_ros.data.bag_files import find_bags
from jepa_ros.data.lerobot import layout
from jepa_ros.data.lerobot.dataset_writer import DatasetWriter
from jepa_ros.data.load_report import Problem
from jepa_ros.data.recording import Recording
from jepa_ros.data.recording_reader import read_recording
from jepa_ros.data.resample import Frames
from jepa_ros.data.topics import TopicProblem, Topics
from jepa_ros.errors import JepaError


@dataclass
class ExportReport:
    """What export_bags wrote, and what was wrong with the bags."""

    out: Path
    spec: ActionSpec | None = None
    bags: int = 0
    episodes: int = 0
    frames: int = 0
    problems: list[Problem] = field(default_factory=list)

    def __str__(self) -> str:
        rate = f" at {self.spec.rate_hz:g} Hz" if self.spec else ""
        head = f"{self.out}: {self.episodes} episodes, {self.frames} frames{rate} from {self.bags} bags"
        return "\n".join([head, *map(str, self.problems)])


def export_bags(
    paths: Sequence[str | Path] | str | Path,
    out: str | Path,
    spec: ActionSpec | None = None,
    *,
    topics: Topics | None = None,
    boundaries: Sequence[str] = ("gaps",),
    image_size: tuple[int, int] | None = None,
    video: bool = True,
    task: str | None = None,
    min_frames: int = 8,
    progress: bool = False,
) -> ExportReport:
    """Write the bags' episodes as a LeRobot v3 dataset.

    spec: the contract to read by; None takes the first bag's own. Bags of another are left out.
    image_size: (h, w); None: as the first bag has them.  video: False keeps PNG images.
    task: what the arm did, in words; None: what the recorder wrote.
    Raises JepaError where no bag gives an episode.
    """
    from tqdm import tqdm

    layout.require_libraries()
    bags, writer = find_bags(paths), None
    report = ExportReport(Path(out), spec)
    try:
        for bag in tqdm(bags, desc="converting bags", unit="bag", disable=not progress):
            try:
                recording = read_recording(bag, topics, report.spec, boundaries)
                # A first pass over the pixels leaves out what cannot be decoded; the second streams them.
                kept = recording.read_frames(image_size, lambda image: image.shape[:2], min_frames)
                if not kept:
                    raise TopicProblem("", f"no run of {min_frames} frames at {recording.spec.rate_hz:g} Hz")
            except TopicProblem as problem:
                report.problems.append(Problem(bag, problem.topic, problem.text, True))
                continue
            except (JepaError, OSError) as error:
                report.problems.append(Problem(bag, "", str(error).removeprefix(f"{bag}: "), True))
                continue
            report.spec = report.spec or recording.spec
            report.problems += recording.problems
            image_size = image_size or kept[0][1][0]
            if writer is None:
                writer = _open_writer(report.out, report.spec, image_size, video)
            for number, frames, images in _runs(recording, [run for run, _ in kept], image_size):
                _add(writer, recording, frames, images, number, task)
                report.episodes += 1
                report.frames += len(frames.stamps)
            report.bags += 1
        if writer is None:
            listed = "\n".join(f"  {p}" for p in report.problems)
            raise JepaError(f"no usable bag among {len(bags)}:\n{listed}")
        writer.close()
    except BaseException:
        if writer is not None:
            writer.abort()
        raise
    return report


def _open_writer(out: Path, spec: ActionSpec, size: tuple[int, int], video: bool) -> DatasetWriter:
    names = [f"{name}.pos" for name in spec.joint_names]
    features = {layout.STATE: names, layout.ACTION: names, layout.TARGET: names}
    return DatasetWriter(out, spec.rate_hz, features, size, video, own={"action_spec": spec.to_dict()})


def _runs(
    recording: Recording, runs: list[Frames], size: tuple[int, int]
) -> Iterator[tuple[int, Frames, Iterator[np.ndarray]]]:
    """(number, frames, their images); every run's images are to be used up before the next."""
    used = np.unique(np.concatenate([run.image_index for run in runs]))
    stream = recording.images(used, size)
    held: tuple[int, np.ndarray] = (-1, np.zeros(0))

    def images_of(run: Frames) -> Iterator[np.ndarray]:
        nonlocal held
        for index in run.image_index:
            while held[0] < index:
                held = next(stream)
            yield held[1]

    for number, run in enumerate(runs):
        yield number, run, images_of(run)


def _add(
    writer: DatasetWriter,
    recording: Recording,
    frames: Frames,
    images: Iterator[np.ndarray],
    number: int,
    task: str | None,
) -> None:
    words = task or recording.metadata.get("task")
    writer.add_episode(
        images,
        {
            layout.STATE: frames.joint_positions,
            layout.ACTION: np.concatenate([frames.targets[1:], frames.targets[-1:]]),
            layout.TARGET: frames.targets,
        },
        words if isinstance(words, str) and words else "no task given",
        {
            "source": recording.path.name,
            "run": number,
            "stamp_s": float(frames.stamps[0]),
            "metadata": json.dumps(recording.metadata),
        },
    )

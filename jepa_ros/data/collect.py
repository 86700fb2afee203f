"""Records episodes of the simulated arm as bags with the topics and types of the live graph.

One bag per episode, `OUT/episode_00000`, and `OUT/collection.json` with the settings. Episode i of a seed is
the same whatever else is recorded, so an interrupted collection goes on where it stopped, and a larger one
extends a smaller. The same motion may be seen in random scenes besides, `OUT/episode_00000_scene1` and on. Random numbers come from `Task.collection_rng`, a stream apart from `Task.episode`, which
evaluation draws from.
"""

import json
import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import partial
from itertools import islice, repeat
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from jepa_ros.data.action_spec import ActionSpec
from jepa_ros.data.behaviours import PATTERN, Scene, commanded_targets
from jepa_ros.data.episode_bag import EpisodeBag
from jepa_ros.errors import JepaError
from jepa_ros.simulation.held_out import HELD_OUT_SEEDS

SETTINGS_FILE = "collection.json"
CONTENT_VERSION = {"reach": 1, "push": 2, "curtain": 1}
"""Raised whenever the same settings give other episodes than before, so that the two are not mixed."""
SEED_STRIDE = 1_000_000
"""Episode i of seed s has the task's collection seed s * SEED_STRIDE + i."""
CONTROL_PERIOD_S = 0.02
TABLE_CLEARANCE_M = {"reach": 0.01, "push": 0.004, "curtain": 0.01}
END_EFFECTOR_HEIGHT_M = {"reach": 0.02, "push": 0.01, "curtain": 0.02}
VIEW_MARGIN = -0.1
"""Commanded poses may leave the image by this part of its half width, as moves between goals do."""


@dataclass(frozen=True)
class CollectSettings:
    """What decides the content of every episode.

    task: "reach", "push" or "curtain".  seed: of the whole collection.  frames: per episode, at the ActionSpec's rate.
    image_size: (h, w).  meshes: "boxes" or "full".  namespace: of the topics.
    random_scenes: how many random scenes see each episode beside the standard one.
    """

    task: str = "reach"
    seed: int = 0
    frames: int = 50
    image_size: tuple[int, int] = (64, 64)
    meshes: str = "boxes"
    namespace: str = "jepa"
    random_scenes: int = 0

    def __post_init__(self):
        if self.task not in TABLE_CLEARANCE_M:
            raise JepaError(f"task is {self.task!r}; known tasks: {', '.join(TABLE_CLEARANCE_M)}")
        object.__setattr__(self, "image_size", tuple(int(v) for v in self.image_size))
        if self.frames < 2:
            raise JepaError(f"frames is {self.frames}; an episode needs at least 2")
        if len(self.image_size) != 2 or min(self.image_size) < 8:
            raise JepaError(f"image_size is {self.image_size}; give (height, width) of at least 8 pixels")
        for name in ("seed", "random_scenes"):
            if getattr(self, name) < 0:
                raise JepaError(f"{name} is {getattr(self, name)}; it must not be negative")
        if self.random_scenes and self.seed * SEED_STRIDE in HELD_OUT_SEEDS:
            first, after = (edge // SEED_STRIDE for edge in (HELD_OUT_SEEDS.start, HELD_OUT_SEEDS.stop))
            raise JepaError(
                f"seed is {self.seed}: random scenes of seeds {first} to {after - 1} are the evaluation's; choose one "
                f"below {first} or from {after} on, or record no random scenes"
            )


@dataclass(frozen=True)
class CollectResult:
    """What one call did.

    recorded: episodes written now.  present: those that were there.  frames, seconds_recorded: of the
    episodes written now.  seconds: it took.  size: bytes of the whole collection.
    """

    recorded: int
    present: int
    frames: int
    seconds_recorded: float
    seconds: float
    size: int

    def __str__(self) -> str:
        speed = f", {self.seconds_recorded / self.seconds:.0f} times real time" if self.recorded else ""
        return (
            f"{self.recorded} episodes recorded ({self.frames} frames, {self.seconds_recorded / 60:.1f} "
            f"minutes of robot time) in {self.seconds:.0f} s{speed}; {self.present} were there; "
            f"{self.size / 1e6:.0f} MB in all"
        )


def collect(
    out: str | Path,
    episodes: int,
    settings: CollectSettings | None = None,
    workers: int = 2,
    progress: bool = False,
) -> CollectResult:
    """Record episodes 0 .. episodes - 1 into `out`, those that are missing there.

    Raises JepaError where `out` holds something else, or a collection with other settings.
    """
    from tqdm import tqdm

    out, settings = Path(out), settings or CollectSettings()
    if not 1 <= episodes <= SEED_STRIDE:
        raise JepaError(f"episodes is {episodes}; it must be from 1 to {SEED_STRIDE}")
    _open_collection(out, settings)
    missing = [i for i in range(episodes) if _missing_scenes(out, i, settings)]
    began = time.monotonic()
    with tqdm(
        total=episodes,
        initial=episodes - len(missing),
        desc=f"collecting {settings.task}",
        unit="episode",
        disable=not progress,
        smoothing=0.05,
    ) as bar:
        for _ in _record_all(out, missing, settings, workers):
            bar.update()
    frames = len(missing) * settings.frames
    return CollectResult(
        len(missing),
        episodes - len(missing),
        frames,
        frames / arm_spec().rate_hz,
        time.monotonic() - began,
        sum(f.stat().st_size for f in out.rglob("*.mcap")),
    )


def arm_spec(block: int = 4) -> ActionSpec:
    """The ActionSpec of the simulated SO-101: +-0.12 rad per action at 10 Hz, in blocks of ``block``."""
    from jepa_ros.simulation import arm

    dim = len(arm.JOINT_NAMES)
    bounds = (-0.12,) * dim, (0.12,) * dim
    return ActionSpec(arm.JOINT_NAMES, *bounds, arm.POSITION_LOWER, arm.POSITION_UPPER, block=block)


def episode_path(out: Path, index: int, scene: int = 0) -> Path:
    """The bag of episode `index` in the standard scene (0) or one of its random ones."""
    return out / (f"episode_{index:05d}_scene{scene}" if scene else f"episode_{index:05d}")


def _missing_scenes(out: Path, index: int, settings: CollectSettings) -> list[int]:
    return [
        scene for scene in range(1 + settings.random_scenes) if not episode_path(out, index, scene).exists()
    ]


def _open_collection(out: Path, settings: CollectSettings) -> None:
    """Make `out`, or check that it is this collection."""
    file = out / SETTINGS_FILE
    wanted = json.loads(
        json.dumps(
            {
                "version": CONTENT_VERSION[settings.task],
                **asdict(settings),
                "action_spec": arm_spec().to_dict(),
            }
        )
    )
    try:
        out.mkdir(parents=True, exist_ok=True)
        if file.exists():
            try:
                there = json.loads(file.read_text())
            except ValueError as error:
                raise JepaError(
                    f"{file}: not valid JSON ({error}); choose another folder with --out"
                ) from error
            there.setdefault("random_scenes", 0)  # unknown to collections made before there were any
            differing = [k for k in sorted(set(wanted) | set(there)) if wanted.get(k) != there.get(k)]
            if differing:
                sides = "".join(f"\n  {k}: there {there.get(k)}, now {wanted.get(k)}" for k in differing)
                raise JepaError(
                    f"{out} holds a collection with other settings:{sides}\n"
                    "Use the same settings to continue it, or another folder with --out."
                )
        elif any(out.iterdir()):
            raise JepaError(
                f"{out} is not empty and not a collection (no {SETTINGS_FILE}); "
                "choose an empty or new folder with --out"
            )
        else:
            partial = file.with_suffix(".tmp")
            partial.write_text(json.dumps(wanted, indent=2) + "\n")
            partial.replace(file)
    except OSError as error:
        raise JepaError(f"{out}: cannot be used as output folder: {error.strerror or error}") from error


def _record_all(out: Path, indices: list[int], settings: CollectSettings, workers: int) -> Iterator[int]:
    if workers <= 1 or len(indices) < 4:
        if indices:
            with Recorder(settings) as recorder:
                for index in indices:
                    recorder.record(out, index)
                    yield index
        return
    with ProcessPoolExecutor(workers, get_context("spawn"), _start_worker) as pool:
        try:
            yield from pool.map(_record_one, repeat(out), indices, repeat(settings))
        except BrokenProcessPool as error:
            raise JepaError(
                f"a recording process ended unexpectedly ({error}); run the command again, "
                "it goes on where it stopped"
            ) from error
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


_recorder: "Recorder | None" = None


def _start_worker() -> None:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    # Ctrl-C reaches the parent, which stops handing out episodes.
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _record_one(out: Path, index: int, settings: CollectSettings) -> int:
    """In a worker. Its recorder is made here and not at its start, so that why it cannot be made is told."""
    global _recorder
    if _recorder is None:
        _recorder = Recorder(settings)
    _recorder.record(out, index)
    return index


class Recorder:
    """One simulator, recording one episode after the other."""

    def __init__(self, settings: CollectSettings):
        from jepa_ros.data.push_goals import PushGoals
        from jepa_ros.simulation.kinematics import ArmKinematics
        from jepa_ros.simulation.simulator import Simulator
        from jepa_ros.simulation.tasks import make_task

        self.settings, self.spec = settings, arm_spec()
        self.task = make_task(settings.task)
        self._kinematics = ArmKinematics()
        self._height, self._clearance = END_EFFECTOR_HEIGHT_M[settings.task], TABLE_CLEARANCE_M[settings.task]
        self._push_goals = PushGoals(self.task) if settings.task == "push" else None
        self._simulator = Simulator(
            task=settings.task, image_size=settings.image_size, meshes=settings.meshes, seed=settings.seed
        )

    def __enter__(self) -> "Recorder":
        return self

    def __exit__(self, *_) -> None:
        self._simulator.close()

    def record(self, out: Path, index: int) -> None:
        """Write the bags of episode `index` that `out` lacks; the same index and settings give the same messages."""
        from jepa_ros.simulation.random_scene import randomise_scene

        seed = self.settings.seed * SEED_STRIDE + index
        rng = self.task.collection_rng(seed)
        behaviour = PATTERN[index % len(PATTERN)]
        simulator = self._simulator
        simulator.reset(self.task.sample_start(rng))
        if self._push_goals is not None:
            self._push_goals.begin(rng)
        scene = Scene(self.spec, lambda: self._sample_goal(rng), self._is_clear, rng)
        targets = commanded_targets(behaviour, simulator.target, scene)
        metadata = {
            "task": self.settings.task,
            "seed": self.settings.seed,
            "episode": index,
            "behaviour": behaviour,
            "meshes": self.settings.meshes,
        }
        with ExitStack() as stack:
            views = []
            for scene in _missing_scenes(out, index, self.settings):
                eye = simulator
                if scene:
                    look = partial(randomise_scene, seed=seed, scene=scene)
                    eye = stack.enter_context(simulator.dressed(look))
                    metadata = metadata | {"scene": scene}
                path, camera = episode_path(out, index, scene), eye.camera_info()
                bag = EpisodeBag(path, self.spec, camera, self.settings.namespace, metadata)
                views.append((eye, stack.enter_context(bag)))
            # The start is held for a period before the first frame, so that a reader knows the target there.
            before = simulator.target
            for target in islice(targets, self.settings.frames):
                commanded = simulator.time
                self._drive(before, target)
                before = target
                for eye, bag in views:
                    if eye is not simulator:
                        eye.set_state(simulator.get_state())
                    bag.command(commanded, target)
                    bag.observe(
                        simulator.time, eye.render(), simulator.joint_positions, simulator.joint_velocities
                    )

    def _sample_goal(self, rng: np.random.Generator) -> np.ndarray:
        if self._push_goals is None:
            return self.task.sample_goal(rng).joints
        return self._push_goals.sample(
            rng, self._simulator.target, self._simulator.end_effector, self._simulator.cube
        )

    def _is_clear(self, joints: np.ndarray) -> bool:
        arm = self._kinematics
        arm.move(joints)
        return (
            arm.end_effector[2] >= self._height
            and arm.clearance() >= self._clearance
            and arm.view_margin() >= VIEW_MARGIN
            and not arm.collides()
        )

    def _drive(self, target: np.ndarray, following: np.ndarray) -> None:
        """Physics for one frame while the target goes from one to the next in a straight line."""
        steps = max(1, round(self.spec.dt / CONTROL_PERIOD_S))
        for step in range(steps):
            self._simulator.set_target(target + (following - target) * (step / steps))
            self._simulator.advance(self.spec.dt / steps)

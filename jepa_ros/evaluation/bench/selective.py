"""Selective work: what frame skipping and event-triggered planning save, and what success they keep."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import numpy as np

from jepa_ros.costs.energy import Energy
from jepa_ros.data.collect import arm_spec
from jepa_ros.data.frame_change import THRESHOLD, FrameSkip
from jepa_ros.errors import JepaError
from jepa_ros.evaluation.agents import PlannerAgent
from jepa_ros.evaluation.bench.bench import Bench, NotHere
from jepa_ros.evaluation.closed_loop import EpisodeResult, run_episode
from jepa_ros.evaluation.simulated_arm import TICK_S
from jepa_ros.evaluation.statistics import wilson_interval
from jepa_ros.export.choose import with_runtime
from jepa_ros.planning.config import PlannerConfig
from jepa_ros.simulation.simulator import Simulator
from jepa_ros.simulation.tasks import make_task
from jepa_ros.world_model.checkpoint import Checkpoint, load_checkpoint

WAYS = ((False, "always"), (True, "always"), (False, "event"), (True, "event"))
"""Frame skipping, and when to search; the first is the yardstick of the others."""
CAMERA_S = 0.04
REST_S = 1.0
"""Filmed after every episode, while the arm holds where it is."""
FIRST_SEED, BLOCKS = 1000, 30


def measure(bench: Bench) -> dict:
    """rows: per way of working, means over the same episodes of `reach`, closed loop without ROS, a camera of 25 Hz.

    Episodes of the ways take turns. ..._ms_...: processor time; compute_ms_per_episode: every encoding, every test
    whether to encode, every plan.  ..._at_rest: in the REST_S after an episode, which counts nowhere else.
    candidates_per_episode: action sequences imagined, which no other work on the machine changes.
    """
    settings = bench.settings
    runtime = "onnx" if "onnx" in bench.subjects else next(iter(bench.subjects))  # as `runtime: auto`
    checkpoint = with_runtime(
        load_checkpoint(settings.checkpoint, settings.device),
        bench.asked[runtime],
        settings.exported,
        settings.threads,
    )
    try:
        checkpoint.spec.require_match(arm_spec(), "the checkpoint", "the simulated SO-101")
        camera = FilmedSimulator(Simulator("reach", checkpoint.model.image_size))
    except JepaError as error:
        raise NotHere(str(error)) from error
    task, found = make_task("reach"), {way: [] for way in WAYS}
    with camera.simulator:
        for episode in range(bench.effort.episodes):
            first = episode % len(WAYS)
            for way in WAYS[first:] + WAYS[:first]:
                agent = FilmAgent(checkpoint, replace(bench.planner, replan=way[1]), THRESHOLD * way[0])
                camera.begin(agent)
                result = run_episode(camera, task, agent, FIRST_SEED + episode, BLOCKS, "planner")
                found[way].append((agent.film, agent.planned_ms, result, camera.rest()))
    rows = [_row(skipping, replan, found[skipping, replan]) for skipping, replan in WAYS]
    usual = rows[0]["compute_ms_per_episode"]
    return {
        "runtime": runtime,
        "episodes": bench.effort.episodes,
        "seeds": [FIRST_SEED, FIRST_SEED + bench.effort.episodes - 1],
        "skip_threshold": THRESHOLD,
        "rows": [
            {**row, "compute_saved": round(1 - row["compute_ms_per_episode"] / usual, 3)} for row in rows
        ],
    }


@dataclass(frozen=True)
class Film:
    """frames: images of the camera.  skipped: of them, those that were not encoded.  ms: of processor time for them."""

    frames: int = 0
    skipped: int = 0
    ms: float = 0.0

    def __add__(self, other: Film) -> Film:
        return Film(self.frames + other.frames, self.skipped + other.skipped, self.ms + other.ms)


class FilmAgent(PlannerAgent):
    """The planner behind an encoder that sees every camera image, as the encoder node does.

    threshold: of FrameSkip; 0 encodes every image.  film: of the images seen so far.  planned_ms: processor time of all
    looks so far, without their encoding.
    """

    def __init__(self, checkpoint: Checkpoint, config: PlannerConfig, threshold: float):
        super().__init__(checkpoint, config, Energy.of(checkpoint))
        self._skip = FrameSkip(threshold, self.spec.block * self.spec.dt)
        self.film, self.planned_ms, self.now = Film(), 0.0, 0.0

    def act(self, image, proprio):
        began, filmed = time.thread_time(), self.film.ms
        actions = super().act(image, proprio)
        self.planned_ms += 1e3 * (time.thread_time() - began) - (self.film.ms - filmed)
        return actions

    def embed(self, image: np.ndarray) -> np.ndarray:
        """The latent of the camera image of time ``now``, or of the one that stands for it."""
        began = time.thread_time()
        skip = self._skip.may_skip(image, self.now)
        if not skip:
            self._latent = self.model.embed(image)
            self._skip.encoded(image, self.now)
        self.film += Film(1, int(skip), 1e3 * (time.thread_time() - began))
        return self._latent


class FilmedSimulator:
    """A Simulator whose camera shows an agent a picture every CAMERA_S, and one at every look."""

    def __init__(self, simulator: Simulator):
        self.simulator = simulator

    def begin(self, agent: FilmAgent) -> None:
        """An episode of ``agent``."""
        self._agent, self._next = agent, CAMERA_S

    def advance(self, seconds: float) -> None:
        """As Simulator.advance."""
        self.simulator.advance(seconds)
        if self.simulator.time >= self._next:
            self._next = self.simulator.time + CAMERA_S
            self._agent.now = self.simulator.time
            self._agent.embed(self.simulator.render())

    def rest(self) -> Film:
        """What is filmed in REST_S more, while nothing is sent to the arm."""
        before = self._agent.film
        for _ in range(round(REST_S / TICK_S)):
            self.advance(TICK_S)
        film = self._agent.film
        return Film(film.frames - before.frames, film.skipped - before.skipped, film.ms - before.ms)

    def render(self) -> np.ndarray:
        """The picture of a look."""
        self._agent.now = self.simulator.time
        return self.simulator.render()

    def __getattr__(self, name: str):
        return getattr(self.simulator, name)


def _row(skipping: bool, replan: str, found: list[tuple[Film, float, EpisodeResult, Film]]) -> dict:
    films, planned, results, rests = zip(*found, strict=True)
    count, successes = len(found), sum(result.success for result in results)
    candidates = [n for result in results for n in result.candidates]
    looks = [maker for result in results for maker in result.made_by]
    plan_ms = sum(planned) / count
    film, rest = sum(films, Film()), sum(rests, Film())
    return {
        "frame_skipping": skipping,
        "replan": replan,
        "successes": successes,
        "wilson_95": list(wilson_interval(successes, count)),
        "seconds_per_episode": round(sum(result.seconds for result in results) / count, 2),
        "frames_per_episode": round(film.frames / count, 1),
        "frames_skipped": round(film.skipped / film.frames, 3),
        "frames_skipped_at_rest": round(rest.skipped / rest.frames, 3),
        "encode_ms_at_rest": round(rest.ms / count, 2),
        "looks_per_episode": round(len(looks) / count, 1),
        "looks_searched": round(looks.count("search") / len(looks), 3),
        "looks_proposed": round(looks.count("policy") / len(looks), 3),
        "candidates_per_episode": round(sum(candidates) / count, 1),
        "encode_ms_per_episode": round(film.ms / count, 2),
        "plan_ms_per_episode": round(plan_ms, 2),
        "compute_ms_per_episode": round(film.ms / count + plan_ms, 2),
    }

"""How the arm moves while data is collected: an endless sequence of commanded targets.

Of every 20 episodes 10 are scripted, 5 noisy, 3 smooth and 2 fine. All of them stop now and then for one to
three frames, as the live arm does while its planner thinks; every action respects the ActionSpec's bounds and
position limits, and no target is one that `is_clear` refuses.

- scripted: joint-synchronised straight lines to random goals at a random speed, resting at each goal.
- noisy: the same, with coloured noise on the actions.
- smooth: coloured-noise actions of random amplitude, some joints still.
- fine: steps of 1 to 30 % of the bounds around one pose, as the last centimetres before a goal need.
"""

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass

import numpy as np

from jepa_ros.data.action_spec import ActionSpec

PATTERN = (
    "scripted",
    "noisy",
    "scripted",
    "smooth",
    "scripted",
    "noisy",
    "scripted",
    "fine",
    "scripted",
    "noisy",
    "scripted",
    "smooth",
    "scripted",
    "noisy",
    "scripted",
    "fine",
    "scripted",
    "noisy",
    "scripted",
    "smooth",
)
"""Episode i behaves as PATTERN[i % 20]: any run of episodes is near the mixture."""

PAUSE_CHANCE = 0.05
LIMIT_MARGIN = 0.02
PATH_CHECKS = 8


@dataclass
class Scene:
    """What a behaviour may ask. sample_goal: () -> (A,) rad, a clear pose; is_clear: (A,) rad -> bool."""

    spec: ActionSpec
    sample_goal: Callable[[], np.ndarray]
    is_clear: Callable[[np.ndarray], bool]
    rng: np.random.Generator

    @property
    def bound(self) -> np.ndarray:
        """(A,) rad: what every joint may move per action, in either direction."""
        return np.minimum(np.abs(self.spec.lower), self.spec.upper)


Steps = Generator[np.ndarray, np.ndarray, None]
"""A behaviour yields the action it wants and is sent the target that came of it."""


def commanded_targets(behaviour: str, start: np.ndarray, scene: Scene) -> Iterator[np.ndarray]:
    """The commanded target (A,) rad of one frame after the other, beginning with `start`; without an end."""
    target = np.array(start, dtype=float)
    margin = np.minimum(
        LIMIT_MARGIN, np.ptp([scene.spec.position_lower, scene.spec.position_upper], axis=0) / 4
    )
    lower = np.minimum(scene.spec.position_lower + margin, target)
    upper = np.maximum(scene.spec.position_upper - margin, target)
    yield target.copy()
    steps = BEHAVIOURS[behaviour](target, scene)
    wanted = next(steps)
    while True:
        while scene.rng.random() < PAUSE_CHANCE:
            for _ in range(scene.rng.integers(1, 4)):
                yield target.copy()
        action = np.clip(wanted, scene.spec.lower, scene.spec.upper)
        choices = (np.clip(target + scale * action, lower, upper) for scale in (1.0, 0.5, -0.5))
        target = next((c for c in choices if scene.is_clear(c)), target)
        yield target.copy()
        wanted = steps.send(target)


def _scripted(target: np.ndarray, scene: Scene) -> Steps:
    speed = scene.rng.uniform(0.3, 1.0) * scene.bound
    while True:
        goal = _reachable_goal(target, scene)
        for left in range(_duration(goal - target, speed), 0, -1):
            target = yield (goal - target) / left
        for _ in range(scene.rng.integers(2, 7)):
            target = yield np.zeros_like(target)


def _noisy(target: np.ndarray, scene: Scene) -> Steps:
    speed = scene.rng.uniform(0.3, 1.0) * scene.bound
    noise = _coloured_noise(scene, scene.rng.uniform(0.1, 0.5) * scene.bound, 0.7)
    while True:
        goal = _reachable_goal(target, scene)
        for _ in range(2 * _duration(goal - target, speed)):
            left = _duration(goal - target, speed)
            target = yield (goal - target) / left + next(noise)
            if np.all(np.abs(goal - target) < 0.3 * scene.bound):
                break
        for _ in range(scene.rng.integers(0, 4)):
            target = yield np.zeros_like(target)


def _smooth(target: np.ndarray, scene: Scene) -> Steps:
    amplitude = np.exp(scene.rng.uniform(np.log(0.05), np.log(0.8))) * scene.bound
    amplitude = amplitude * (scene.rng.random(scene.spec.dim) < 0.75)
    noise = _coloured_noise(scene, amplitude, scene.rng.uniform(0.8, 0.97))
    while True:
        yield next(noise)


def _fine(target: np.ndarray, scene: Scene) -> Steps:
    anchor = target.copy()
    while True:
        share = np.exp(scene.rng.uniform(np.log(0.01), np.log(0.3)))
        direction = scene.rng.uniform(-1.0, 1.0, scene.spec.dim) * (scene.rng.random(scene.spec.dim) < 0.7)
        home = (anchor - target) / scene.bound
        direction = np.clip(direction + 0.2 * home, -1.0, 1.0)
        for _ in range(scene.rng.integers(1, 9)):
            target = yield share * direction * scene.bound
        for _ in range(scene.rng.integers(0, 4)):
            target = yield np.zeros_like(target)


BEHAVIOURS = {"scripted": _scripted, "noisy": _noisy, "smooth": _smooth, "fine": _fine}


def _duration(displacement: np.ndarray, speed: np.ndarray) -> int:
    """Actions that a synchronised displacement takes."""
    return max(1, int(np.ceil(np.max(np.abs(displacement) / speed) - 1e-9)))


def _reachable_goal(target: np.ndarray, scene: Scene, tries: int = 20) -> np.ndarray:
    """A goal with a clear straight line to it; the last one drawn where none is found."""
    for _ in range(tries):
        goal = np.clip(scene.sample_goal(), scene.spec.position_lower, scene.spec.position_upper)
        if all(scene.is_clear(target + s * (goal - target)) for s in np.linspace(0, 1, PATH_CHECKS + 1)[1:]):
            break
    return goal


def _coloured_noise(
    scene: Scene, amplitude: np.ndarray, correlation: float
) -> Generator[np.ndarray, None, None]:
    """Stationary AR(1) noise of standard deviation `amplitude` (A,)."""
    value = amplitude * scene.rng.standard_normal(scene.spec.dim)
    fresh = np.sqrt(1.0 - correlation**2)
    while True:
        yield value
        value = correlation * value + fresh * amplitude * scene.rng.standard_normal(scene.spec.dim)

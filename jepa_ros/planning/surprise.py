"""Is what is seen what was expected? Judges every look, and slows the arm down or holds it where it is not."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol

import numpy as np

from jepa_ros.errors import JepaError
from jepa_ros.planning.distance import latent_distance

SAME = 1e-6
"""Latents this close come from one and the same image."""
STILL = 0.01
"""rad; an arm of which every joint moved less did not move."""
DEFAULT_QUANTILE = 0.999
DEFAULT_MARGIN, DEFAULT_UNFAMILIARITY_MARGIN = 0.5, 0.9
DEFAULT_ARM_MARGIN = 2.0
"""Factors on what was measured on held-out training data; benchmarks/surprise.py measures what they let pass and stop."""


class ArmYardstick(Protocol):
    """What the gate reads of a calibration about where pictures show the arm."""

    quantiles: Mapping[str, float]

    def error(self, latents: np.ndarray, joints: np.ndarray) -> np.ndarray:
        """Latents (N, D), joints (N, A) rad -> (N,) how far the arm is seen from where it was measured."""
        ...


class Yardstick(Protocol):
    """What the gate reads of a checkpoint's calibration. joint_readout: None where it has none."""

    surprise_quantiles: Mapping[str, float]
    ood_quantiles: Mapping[str, float]
    joint_readout: ArmYardstick | None

    def ood_score(self, latents: np.ndarray) -> np.ndarray:
        """Latents (N, D) -> (N,) distance from the training data."""
        ...


class Level(IntEnum):
    """What the gate asks for; speed is a factor on the planned motion."""

    OK = 0
    REPLAN = 1  # at this look: the plan at hand was made for another picture
    SLOW = 2
    HOLD = 3


@dataclass(frozen=True)
class GateSettings:
    """surprise_limit: latent distance (root mean square over D) from what was expected.
    unfamiliarity_limit: distance from the training data, in the unit of the gate's ``unfamiliarity``.
    arm_limit: of the gate's ``arm_error``: up to it a picture shows the arm where it was measured; 0: none does.
    doubt_factor: on surprise_limit: above this a look is doubtful. From a strange look on, until released, doubtful
    is strange.
    slow_factor: speed while slowed.
    hold_after: strange looks until the arm is held; the first one replans, those between slow it down.
    release_looks: familiar looks in a row after which all is well again.
    """

    surprise_limit: float
    unfamiliarity_limit: float
    doubt_factor: float = 0.75
    slow_factor: float = 0.5
    hold_after: int = 3
    release_looks: int = 3
    arm_limit: float = 0.0

    def __post_init__(self):
        for name in ("surprise_limit", "unfamiliarity_limit", "doubt_factor", "slow_factor"):
            if not 0 < getattr(self, name) < math.inf:
                raise JepaError(
                    f"surprise gate: {name} is {getattr(self, name)}; it must be positive and finite"
                )
        if not 0 <= self.arm_limit < math.inf:
            raise JepaError(
                f"surprise gate: arm_limit is {self.arm_limit}; it must be finite and not negative"
            )
        for name in ("hold_after", "release_looks"):
            if getattr(self, name) < 1:
                raise JepaError(f"surprise gate: {name} is {getattr(self, name)}; it must be at least 1")


@dataclass(frozen=True)
class Judgement:
    """Of one look. level, speed: what to do.  surprise: NaN where nothing was expected.

    frozen: a picture as in training, which did not change while the arm moved.  strange: this look counts against
    going on.  believed: what it shows may be taken for the scene.
    text: the reason for a level above OK, in words; "" without one.
    """

    level: Level = Level.OK
    speed: float = 1.0
    surprise: float = math.nan
    unfamiliarity: float = math.nan
    frozen: bool = False
    strange: bool = False
    believed: bool = True
    text: str = ""


class SurpriseGate:
    """Counts strange looks: too far from the expected latent, too far from the training data, or frozen.

    An image that does not change holds at once: it says nothing about where the arm is. Other strange looks go up
    a level each, so that one false alarm costs a replan. Every ``release_looks`` familiar ones in a row end it all.
    A look for which nothing was expected (the first one; the arm was stopped in mid-block) is judged by its
    unfamiliarity and counts neither way where that is normal. A doubtful look is not believed, but the second one in
    a row is: what comes into the view slowly is not taken for the scene, and a wrong prediction is corrected. Where
    the picture changes while the arm is held, what disturbed it may be gone: it need not come as close.

    The one thing of which the picture's truth can be checked is the arm: where joints were is measured. A picture that shows
    it there is a good view, and what surprises in it is the scene: a thing that was pushed lies elsewhere than was
    foreseen. It is believed and planned from anew, and counts for going on.

    unfamiliarity: latent (D,) -> distance from the training data.  arm_error: latent (D,), measured joints (A,) rad -> how
    far the picture shows them from there; None where that is not known.  model_id: of the latents it can judge.
    """

    def __init__(
        self,
        settings: GateSettings,
        unfamiliarity: Callable[[np.ndarray], float],
        model_id: str = "",
        arm_error: Callable[[np.ndarray, np.ndarray], float] | None = None,
    ):
        self.settings, self._unfamiliarity, self.model_id = settings, unfamiliarity, model_id
        self._arm_error = arm_error
        self.reset()

    @classmethod
    def calibrated(
        cls,
        calibration: Yardstick,
        model_id: str = "",
        quantile: float = DEFAULT_QUANTILE,
        margin: float = DEFAULT_MARGIN,
        unfamiliarity_margin: float = DEFAULT_UNFAMILIARITY_MARGIN,
        arm_margin: float = DEFAULT_ARM_MARGIN,
        **others,
    ) -> "SurpriseGate":
        """Limits: a quantile of what was measured on held-out training data, times ``margin`` for surprise and
        ``unfamiliarity_margin`` for unfamiliarity; of the arm's place the median, times ``arm_margin`` (0: no picture is
        believed for that). others: of GateSettings."""
        found, name = (calibration.surprise_quantiles, calibration.ood_quantiles), f"{quantile:g}"
        if not all(name in quantiles for quantiles in found):
            raise JepaError(f"surprise gate: quantile is {name}; choose one of {', '.join(found[0])}")
        surprise, unfamiliarity = (quantiles[name] for quantiles in found)
        readout = calibration.joint_readout
        settings = GateSettings(
            margin * surprise,
            unfamiliarity_margin * unfamiliarity,
            arm_limit=arm_margin * readout.quantiles["0.5"] if readout else 0.0,
            **others,
        )
        return cls(
            settings,
            lambda latent: float(calibration.ood_score(latent[None])[0]),
            model_id,
            readout and (lambda latent, joints: float(readout.error(latent[None], joints[None])[0])),
        )

    def reset(self) -> None:
        """For a new goal: nothing is known yet."""
        self.surprises = self._against = self._familiar = 0
        self._held = self._doubted = False
        self._picture: tuple[np.ndarray, np.ndarray] | None = None  # latent, joints when it was first seen
        self._strange: np.ndarray | None = None  # (D,) the last strange look

    def judge(self, latent: np.ndarray, proprio: np.ndarray, expected: np.ndarray | None) -> Judgement:
        """latent (D,), measured joints proprio (A,) rad, expected latent (D,) or None where nothing is known
        to compare with."""
        limits = self.settings
        surprise = math.nan if expected is None else latent_distance(latent, expected)
        unfamiliarity = float(self._unfamiliarity(latent))
        stuck = self._is_stuck(latent, proprio)
        frozen = stuck and unfamiliarity <= limits.unfamiliarity_limit  # darkness does not change either
        sighted = self._shows_the_arm(latent, proprio)
        limit = math.inf if sighted else self._surprise_limit(latent)
        strange = self._words(surprise, unfamiliarity, frozen, limit)
        doubtful = not sighted and surprise > limits.doubt_factor * limits.surprise_limit
        self._doubted = doubtful and not self._doubted and not self._held
        believed = not strange and not self._doubted
        if strange:
            self._strange = latent
            self.surprises, self._against, self._familiar = self.surprises + 1, self._against + 1, 0
            self._held |= stuck or self._against >= limits.hold_after
        elif expected is not None:
            self._familiar += 1
            if self._familiar >= limits.release_looks:
                self._against, self._held = 0, False
        level = Level.HOLD if self._held else Level(min(self._against, Level.SLOW))
        going = f"familiar again, {self._familiar} of {limits.release_looks} looks" if level else ""
        if level == Level.OK and surprise > limits.surprise_limit:
            level = Level.REPLAN
            going = (
                f"the scene is {surprise:.2f} from what was predicted (limit {limits.surprise_limit:.2f}), with the "
                "arm where it was measured: planned anew"
            )
        speed = {Level.SLOW: limits.slow_factor, Level.HOLD: 0.0}.get(level, 1.0)
        return Judgement(
            level, speed, surprise, unfamiliarity, frozen, bool(strange), believed, strange or going
        )

    def _shows_the_arm(self, latent: np.ndarray, proprio: np.ndarray) -> bool:
        limit = self.settings.arm_limit
        return self._arm_error is not None and limit > 0 and self._arm_error(latent, proprio) <= limit

    def _is_stuck(self, latent: np.ndarray, proprio: np.ndarray) -> bool:
        if self._picture is None or latent_distance(latent, self._picture[0]) > SAME:
            self._picture = latent, proprio
        return bool(np.any(np.abs(proprio - self._picture[1]) > STILL))

    def _surprise_limit(self, latent: np.ndarray) -> float:
        """The limit for this look."""
        limit = self.settings.surprise_limit
        if not self._against or (self._held and latent_distance(latent, self._strange) > limit):
            return limit
        return self.settings.doubt_factor * limit

    def _words(self, surprise: float, unfamiliarity: float, frozen: bool, surprise_limit: float) -> str:
        """What is wrong with a look; "" where nothing is."""
        limits = self.settings
        if frozen:
            return "the image has not changed although the arm moved: does the camera still send new images?"
        found = []
        if surprise > surprise_limit:
            found.append(f"{surprise:.2f} from what was predicted (limit {surprise_limit:.2f})")
        if unfamiliarity > limits.unfamiliarity_limit:
            found.append(
                f"{unfamiliarity:.1f} from the training data (limit {limits.unfamiliarity_limit:.1f})"
            )
        if not found:
            return ""
        return (
            f"the image is {' and '.join(found)}: was the camera moved or covered, is something in its view?"
        )

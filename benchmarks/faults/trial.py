"""One trial: the arm moves, a fault strikes, the arm must rest in time with a reason, and go on when it is mended."""

import math
import time
import traceback
from dataclasses import asdict, dataclass, field

from faults.bench import Bench, Episode
from faults.catalogue import Fault
from faults.judge import Judge

from jepa_ros.errors import JepaError

GRACE_S = 0.5
"""The arm rests at the latest this long after the limit of the watchdog that sees the fault."""
REASON_S = 3.0
DEGRADED_S, DEGRADED_PLANS = 4.0, 6
RECOVERY_S = 30.0


@dataclass
class Outcome:
    """What a trial found. rest_s: from the fault until the arm rested for good, None where it need not.
    rest_seen: in joint_states, or in commands where nobody publishes joint_states.
    reasons: -> [s after the fault, words].  recovery_s: from the end of the repair to motion."""

    fault: str
    variant: str
    episode: int
    detection_limit_s: float
    commands: int = 0
    missed: int = 0
    violations: list[str] = field(default_factory=list)
    speed_at_fault: float = math.nan
    must_rest: bool = True
    rest_s: float | None = None
    rest_seen: str = "joint_states"
    went_on: bool = False
    reasons: dict = field(default_factory=dict)
    reason_published: bool = False
    recovered: bool = False
    recovery_s: float | None = None
    error: str = ""

    @property
    def in_time(self) -> bool:
        """Whether the arm came to rest in time; where it need not, whether it went on or was held with a reason."""
        if self.must_rest:
            return self.rest_s is not None and self.rest_s <= self.detection_limit_s + GRACE_S
        return self.went_on or any(name.startswith("guard") for name in self.reasons)

    @property
    def kept(self) -> bool:
        """Whether every bar was kept."""
        within = self.commands > 0 and not self.violations and not self.missed
        return within and self.in_time and self.reason_published and self.recovered and not self.error

    def to_dict(self) -> dict:
        """For JSON."""
        return asdict(self) | {"in_time": self.in_time, "kept": self.kept}


def attempt(bench: Bench, fault: Fault, variant: str, episode: Episode, samples: int) -> Outcome:
    """Run a trial. samples: joint_states in which the arm has moved when the fault strikes."""
    judge = bench.judge
    outcome = Outcome(fault.name, variant, episode.seed, fault.limit(variant), must_rest=fault.stops(variant))
    try:
        bench.begin(episode)
        bench.send(episode.goal_image)
        if not bench.moves(samples):
            raise JepaError("the arm did not begin to move")
        outcome.speed_at_fault = judge.speeds[-1][1]
        fault.strike(bench, variant)
        _watch(judge, outcome, fault.reasons(variant))
        fault.mend(bench, variant)
        mended = time.time()
        bench.send(episode.farther(judge.position))
        outcome.recovered = bench.moves(3, RECOVERY_S)
        if not outcome.recovered:
            raise JepaError(f"the arm did not move again; diagnostics: {judge.complaints}")
        outcome.recovery_s = round(time.time() - mended, 2)
    except Exception as error:
        outcome.error = str(error) if isinstance(error, JepaError) else traceback.format_exc()
    outcome.commands, outcome.missed = judge.audit.count, judge.missed
    outcome.violations = list(judge.audit.violations)
    return outcome


def _watch(judge: Judge, outcome: Outcome, expected: set[str]) -> None:
    """Note what the arm does while the fault lasts, and which reasons are published."""
    plans, ends = judge.plans, judge.struck + outcome.detection_limit_s + GRACE_S
    if outcome.must_rest:
        judge.wait(lambda: time.time() >= ends, ends - time.time())
        judge.wait(lambda: expected & set(judge.reasons), REASON_S)
        outcome.rest_s, outcome.rest_seen = judge.rest()
    else:
        judge.wait(lambda: judge.plans >= plans + DEGRADED_PLANS, DEGRADED_S)
        outcome.went_on = judge.going_on
    outcome.reasons = dict(judge.reasons)
    outcome.reason_published = not expected or bool(expected & set(judge.reasons))

"""The planner's settings, validated once."""

from dataclasses import asdict, dataclass, fields

import numpy as np

from jepa_ros.errors import JepaError

SOLVERS = ("cem", "mppi")
SPACES = ("displacement", "two_legs", "hold_action", "one_block", "free_blocks")
REPLAN = ("always", "event")
MODES = ("search", "policy", "hybrid")
CHOICES = {"mode": MODES, "solver": SOLVERS, "space": SPACES, "replan": REPLAN}

RANGES = {  # field: (lowest, highest, lowest is allowed)
    "samples": (2, 65536, True),
    "iterations": (1, 1000, True),
    "horizon": (1, 1000, True),
    "elites": (1, 65536, True),
    "initial_std": (0.0, 10.0, False),
    "warm_std": (0.0, 1.0, False),
    "wide_fraction": (0.0, 1.0, True),
    "min_std": (0.0, 1.0, True),
    "noise_beta": (0.0, 10.0, True),
    "kept_elites": (0.0, 1.0, True),
    "sample_decay": (1.0, 10.0, True),
    "momentum": (0.0, 0.99, True),
    "correlation": (0.0, 0.99, True),
    "temperature": (0.0, 1e6, False),
    "std_decay": (0.0, 1.0, False),
    "hybrid_left": (0.0, 10.0, True),
    "hybrid_arrived": (0.0, 1000.0, True),
    "hybrid_stuck": (0.0, 10.0, True),
    "stall_plans": (0, 1000, True),
    "proposal_fraction": (0.0, 1.0, True),
    "refine_steps": (0, 1000, True),
    "refine_best": (1, 1000, True),
    "refine_rate": (0.0, 1.0, False),
    "replan_surprise": (0.0, 10.0, True),
    "replan_progress": (0.0, 1.0, True),
    "replan_energy": (0.0, 1.0, True),
    "replan_left": (0, 1000, True),
    "replan_after": (1, 1000, True),
    "levels": (1, 2, True),
    "macros": (1, 100, True),
    "macro_samples": (4, 65536, True),
    "macro_iterations": (1, 1000, True),
    "near_blocks": (0.0, 1e6, True),
    "target_looks": (1, 1000, True),
    "speed": (0.0, 1.0, False),
    "seed": (0, 2**63 - 1, True),
}


@dataclass(frozen=True)
class PlannerConfig:
    """Settings of the receding-horizon planner. Standard deviations are fractions of half the search range.

    solver: "cem" or "mppi".  space: a name of search_spaces.SPACES.
    samples: S, candidates per iteration.  iterations: solver iterations per plan.  horizon: H, in blocks.
    initial_std: spread of the first candidates without a warm start.
    warm_std: the same around a warm start, as a fraction of initial_std: near the goal a wide search wastes
        samples.
    wide_fraction: part of the first candidates that a warm start still draws at initial_std, around no
        motion, so that a plan gone wrong is left within one replan.
    min_std: floor of the spread in every iteration.
    noise_beta: power-law exponent of the noise along the horizon, 0 white, 2-3 smooth (iCEM); no effect in
        spaces without a time axis.
    seed: of the planner's random generator.

    CEM only. elites: candidates that form the next mean and std.  kept_elites: fraction of them that stay in
    the race of the next iteration (iCEM 0.3).  sample_decay: population divided by this every iteration (iCEM
    1.25), never below twice the elites.  momentum: of mean and std (iCEM 0.1).  correlation: part of the
    elites' correlations that the next candidates keep, in spaces without a time axis; 0 is the plain,
    axis-aligned CEM.

    MPPI only. temperature: lambda, in units of the standard deviation of the better half of the costs, so
    that it does not depend on the cost's scale.  std_decay: factor on the spread per iteration.

    Two speeds, see receding_horizon.py. mode: who plans: "search", the solver; "policy", the best of the policy's
    proposals; "hybrid", the policy, and the solver where that is not good enough (without a policy, the solver; while things
    come first, see Propose, the policy).
    hybrid_left: a proposal is good enough where its imagined end has at most this share of the energy that staying here
    has.  hybrid_arrived: or at most this many goal tolerances.  hybrid_stuck: where the search leaves more than this share
    too, the best proposal is taken; 0: never.  stall_plans: after so many plans in a row without progress, far from the goal,
    any of the proposals is taken; 0: never.  proposal_fraction: part of the first candidates that may be proposals.

    Gradients, see Imagination.refine. refine_steps: of Adam on the actions of the best candidates, through the world
    model; 0: none.  refine_best: how many candidates.  refine_rate: Adam's step, a fraction of half the action bounds.

    When to plan anew, see trigger.py. replan: "always", at every look; "event", where the plan at hand does not go as
    predicted or has nothing left.  replan_surprise: how far a look may lie from its prediction, a share of the predicted
    change.  replan_progress: least share of the predicted approach to the goal.  replan_energy: least share of the
    predicted fall of the plan's energy; 0 lets it stay as it was.  replan_left: blocks with motion that a
    kept plan has left beyond its next one; the last ones before arrival are searched, where small corrections count.
    replan_after: blocks of one plan that are executed at most.

    Two levels, see hierarchy.py. levels: 2: a slow level finds latent targets on the way to a far goal; 1: the goal is planned
    for from everywhere.  macros: steps of the slow level that are foreseen.  macro_samples, macro_iterations: of its search.
    near_blocks: a goal that is at most this far, by the distance head, is planned for itself.  target_looks: looks for which
    a target is pursued at most.

    speed: share of the action bounds that plans use.
    """

    solver: str = "cem"
    space: str = "displacement"
    samples: int = 64
    iterations: int = 3
    horizon: int = 5
    initial_std: float = 0.5
    warm_std: float = 0.3
    wide_fraction: float = 0.125
    min_std: float = 0.005
    noise_beta: float = 2.0
    seed: int = 0
    elites: int = 8
    kept_elites: float = 1.0
    sample_decay: float = 1.0
    momentum: float = 0.0
    correlation: float = 0.5
    temperature: float = 0.3
    std_decay: float = 0.5
    mode: str = "hybrid"
    hybrid_left: float = 0.95
    hybrid_arrived: float = 1.0
    hybrid_stuck: float = 0.0
    stall_plans: int = 3
    proposal_fraction: float = 0.25
    refine_steps: int = 0
    refine_best: int = 4
    refine_rate: float = 0.1
    replan: str = "event"
    replan_surprise: float = 0.5
    replan_progress: float = 0.5
    replan_energy: float = 0.5
    replan_left: int = 2
    replan_after: int = 5
    levels: int = 1
    macros: int = 3
    macro_samples: int = 256
    macro_iterations: int = 3
    near_blocks: float = 2.0
    target_looks: int = 3
    speed: float = 1.0

    def __post_init__(self):
        def need(ok, what):
            if not ok:
                raise JepaError(f"PlannerConfig: {what}")

        for name, known in CHOICES.items():
            value = getattr(self, name)
            need(value in known, f"{name} is {value!r}; choose one of {', '.join(known)}")
        integers = {f.name for f in fields(self) if f.type in (int, "int")}
        for name, (low, high, closed) in RANGES.items():
            value = getattr(self, name)
            is_number = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
            need(is_number and np.isfinite(value), f"{name} is {value!r}; it must be a finite number")
            need(name not in integers or value == int(value), f"{name} is {value!r}; it must be an integer")
            need(
                (low <= value if closed else low < value) and value <= high,
                f"{name} is {value!r}; it must lie in {'[' if closed else '('}{low}, {high}]",
            )
            object.__setattr__(self, name, int(value) if name in integers else float(value))
        need(
            self.solver != "cem" or self.elites <= self.samples,
            f"elites is {self.elites}; at most samples ({self.samples})",
        )

    @classmethod
    def from_dict(cls, values: dict) -> "PlannerConfig":
        """From a dict of some fields; the others keep their defaults. JepaError names unknown keys."""
        unknown = set(values) - {f.name for f in fields(cls)}
        if unknown:
            known = ", ".join(f.name for f in fields(cls))
            raise JepaError(f"PlannerConfig: unknown keys {sorted(unknown)}; known: {known}")
        return cls(**values)

    def to_dict(self) -> dict:
        """A JSON-serialisable dict."""
        return asdict(self)

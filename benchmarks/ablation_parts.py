"""What is taken away in an ablation, one part at a time, and what stands in its place."""

from collections.abc import Mapping
from dataclasses import dataclass, field

WHOLE = "whole"


@dataclass(frozen=True)
class Variant:
    """part: what is taken away.  instead: what is done without it.

    train: words for `jepa train` beside those of the whole; without any, the whole's checkpoint serves.
    planner, weights: in place of the whole's settings.
    """

    part: str
    instead: str
    train: tuple[str, ...] = ()
    planner: Mapping = field(default_factory=dict)
    weights: Mapping[str, float] = field(default_factory=dict)


def variants(weights: Mapping[str, float], levels: int) -> dict[str, Variant]:
    """By name, the whole first. weights: of the whole's cost terms.  levels: of its planner."""
    return {
        WHOLE: Variant("nothing", "everything as it is"),
        "temporal_distance": temporal_distance(weights),
        "hierarchy": hierarchy(levels),
        "policy_proposals": Variant("policy proposals", "search alone", planner={"mode": "search"}),
        "objects": Variant(
            "objects",
            "heads without features of what stays: the plain policy, and no term of them in the energy",
            ("--objects", "0"),
        ),
        "proprioception": Variant(
            "proprioception",
            "predictor and policy see pictures and actions alone",
            ("--no-proprioception",),
        ),
        "joint_readout": Variant(
            "joint read-out",
            "latents need not tell where the joints are",
            ("--loss-weight", "joint_head=0"),
        ),
        "multi_step": Variant("multi-step loss", "one block ahead alone", ("--unroll", "1")),
        "data_mixture": Variant("data mixture", "scripted motions alone", ("--behaviours", "scripted")),
        "vicreg": Variant("SIGReg", "VICReg", ("--anti-collapse", "vicreg")),
        "ema": Variant("SIGReg", "an averaged target encoder (EMA)", ("--anti-collapse", "ema")),
        "no_regulariser": Variant("SIGReg", "nothing", ("--loss-weight", "regulariser=0")),
    }


def temporal_distance(weights: Mapping[str, float]) -> Variant:
    """Taken away where the whole has it; where it has not, put in the place of latent distance, and said so."""
    if weights.get("temporal_distance", 0) > 0:
        latent = {"goal_distance": weights.get("goal_distance", 0) or 1.0}
        return Variant(
            "temporal distance", "latent distance alone", weights=latent | {"temporal_distance": 0.0}
        )
    return Variant(
        "latent distance",
        "temporal distance, which the whole does not use",
        weights={"goal_distance": 0.0, "temporal_distance": 1.0},
    )


def hierarchy(levels: int) -> Variant:
    """Likewise."""
    if levels > 1:
        return Variant(
            "hierarchy", "one level: the goal is planned for from everywhere", planner={"levels": 1}
        )
    return Variant(
        "planning for the goal itself", "two levels, which the whole does not use", planner={"levels": 2}
    )

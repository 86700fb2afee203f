"""Parameters of the planner node: those of the search are the fields of PlannerConfig, so that defaults exist
once."""

from dataclasses import fields

from jepa_ros.nodes.base.parameters import Param
from jepa_ros.nodes.base.pin import CHECKPOINT_SHA256
from jepa_ros.nodes.base.robot import ROBOT_PARAMS
from jepa_ros.planning import config as planning
from jepa_ros.planning.config import PlannerConfig
from jepa_ros.planning.joint_history import DEFAULT_TOLERANCE_S
from jepa_ros.planning.memory import DEFAULT_GAP_S
from jepa_ros.planning.sub_goals import SubGoalSettings
from jepa_ros.planning.surprise import (
    DEFAULT_ARM_MARGIN,
    DEFAULT_MARGIN,
    DEFAULT_QUANTILE,
    DEFAULT_UNFAMILIARITY_MARGIN,
    GateSettings,
)

_WORDS = {
    "mode": "Who plans: search (the solver), policy (the best proposal of the checkpoint's heads), hybrid (the policy, and "
    "the solver where that is not good enough and no thing is to be moved first; without heads the solver).",
    "hybrid_left": "hybrid, with things where the goal has them: share of the energy of staying here that the best proposal may "
    "have at its imagined end; above it the solver is asked, unless the proposal arrives.",
    "hybrid_arrived": "hybrid: a proposal whose imagined end has at most this many goal tolerances of energy arrives, and is "
    "good enough.",
    "hybrid_stuck": "hybrid: where the solver's plan too leaves more than this share of the energy of staying, far from the "
    "goal, the best proposal is executed; 0: never.",
    "stall_plans": "policy and hybrid: after so many plans in a row without progress, far from the goal, any of the "
    "proposals is executed, twice; 0: never.",
    "proposal_fraction": "hybrid: part of the solver's first candidates that may be proposals.",
    "refine_steps": "Steps of Adam on the best candidates' actions, through the world model in torch; 0: none. "
    "composition:=single only.",
    "refine_best": "Candidates that are refined.",
    "refine_rate": "Adam's step, a fraction of half the action bounds.",
    "solver": "Search algorithm.",
    "space": "What is searched: displacement (one motion per plan), two_legs (two motions, one after the other), hold_action, "
    "one_block, free_blocks.",
    "samples": "S, candidates per iteration.",
    "iterations": "Solver iterations per plan.",
    "horizon": "H, blocks imagined ahead.",
    "initial_std": "Spread of the first candidates without a warm start, a fraction of half the range.",
    "warm_std": "The same around a warm start, as a fraction of initial_std.",
    "wide_fraction": "Part of the first candidates that a warm start still draws at initial_std.",
    "min_std": "Floor of the spread.",
    "noise_beta": "Power-law exponent of the noise along the horizon (iCEM); 0 is white.",
    "seed": "Of the random generator: same seed and inputs, same plan.",
    "elites": "CEM: candidates that form the next mean and spread.",
    "kept_elites": "CEM: fraction of the elites that stay in the next iteration (iCEM).",
    "sample_decay": "CEM: the population is divided by this in every iteration (iCEM).",
    "momentum": "CEM: of mean and spread.",
    "correlation": "CEM: how much of the elites' correlation between joints the next candidates keep.",
    "temperature": "MPPI: lambda, in standard deviations of the better half of the costs.",
    "std_decay": "MPPI: factor on the spread per iteration.",
    "replan": "always: plan anew at every look. event: keep a plan that goes as predicted (event-triggered MPC).",
    "replan_surprise": "event: how far a look may lie from its prediction, as a share of the predicted change; beyond "
    "it the planner plans anew.",
    "replan_progress": "event: least share of the predicted approach to the goal; below it the planner plans anew.",
    "replan_energy": "event: least share of the predicted fall of the plan's energy, imagined from the newest look; below it "
    "the planner plans anew. 0: the energy must not rise.",
    "replan_left": "event: blocks with motion that a plan must have left beyond its next one to be kept; 0 keeps the "
    "block that arrives too.",
    "levels": "2: a slow level of the checkpoint's heads finds latent targets on the way to a far goal; 1: the goal is planned for "
    "from everywhere.",
    "macros": "levels 2: steps of the slow level that are foreseen.",
    "macro_samples": "levels 2: sequences of macro-actions per iteration.",
    "macro_iterations": "levels 2: iterations of their search.",
    "near_blocks": "levels 2: a goal that is at most so many blocks away, by the distance head, is planned for itself.",
    "target_looks": "levels 2: looks for which a target is pursued at most.",
    "speed": "Share of the action bounds that plans use.",
    "replan_after": "event: blocks of one plan that are executed at most, then the planner plans anew.",
}


def _search_param(field) -> Param:
    low, high = planning.RANGES[field.name][:2] if field.name in planning.RANGES else (None, None)
    return Param(
        field.name,
        field.default,
        _WORDS.get(field.name, "See PlannerConfig."),
        low,
        high,
        planning.CHOICES.get(field.name, ()),
    )


SEARCH_PARAMS = tuple(_search_param(field) for field in fields(PlannerConfig))
SURPRISE_PARAMS = (
    Param(
        "surprise.enabled",
        True,
        "Judge every look: replan, slow down and hold where it is not what was predicted, or not like the "
        "training data. Needs the checkpoint's calibration.json.",
    ),
    Param(
        "surprise.quantile",
        DEFAULT_QUANTILE,
        "Quantile of the held-out training data above which a look is strange: 0.5, 0.95, 0.99 or 0.999.",
        0.5,
        0.999,
    ),
    Param(
        "surprise.margin",
        DEFAULT_MARGIN,
        "Factor on the limit of surprise that the quantile gives.",
        0.1,
        100.0,
    ),
    Param(
        "surprise.unfamiliarity_margin",
        DEFAULT_UNFAMILIARITY_MARGIN,
        "Factor on the limit of unfamiliarity that the quantile gives.",
        0.1,
        100.0,
    ),
    Param(
        "surprise.arm_margin",
        DEFAULT_ARM_MARGIN,
        "A picture that shows the arm where it was measured, but for this many times the median error of held-out "
        "training data, is believed however surprising: the scene changed. 0: never.",
        0.0,
        100.0,
    ),
    Param(
        "surprise.doubt_factor",
        GateSettings.doubt_factor,
        "Factor on the limit of surprise above which a look is doubtful: it is not believed at once, and from a "
        "strange look on it counts as strange.",
        0.05,
        1.0,
    ),
    Param(
        "surprise.slow_factor",
        GateSettings.slow_factor,
        "Factor on the planned motion from the second strange look on.",
        0.05,
        1.0,
    ),
    Param(
        "surprise.hold_after",
        GateSettings.hold_after,
        "Strange looks until the arm is held; the first one replans. A frozen image holds at once.",
        1,
        1000,
    ),
    Param(
        "surprise.release_looks",
        GateSettings.release_looks,
        "Familiar looks in a row that end slowing and holding.",
        1,
        1000,
    ),
)
SUB_GOAL_PARAMS = (
    Param(
        "sub_goals.looseness",
        SubGoalSettings.looseness,
        "A sub-goal is passed within this many tolerances of the goal, where the goal asks for no sub_goal_tolerance.",
        1.0,
        1000.0,
    ),
    Param(
        "sub_goals.lost_factor",
        SubGoalSettings.lost_factor,
        "A sub-goal is lost where it is this many times as far as it was when its pursuit began, and an earlier one is "
        "nearer: that one is pursued again.",
        1.0,
        1000.0,
    ),
    Param("sub_goals.lost_looks", SubGoalSettings.lost_looks, "Looks in a row that must say so.", 1, 1000),
    Param(
        "sub_goals.max_fallbacks",
        SubGoalSettings.max_fallbacks,
        "Times that a goal goes back to an earlier sub-goal; lost once more, it ends.",
        0,
        1000,
    ),
)
PLANNER_PARAMS = (
    Param(
        "checkpoint",
        "",
        "Checkpoint directory; of it the planner reads config.json (ActionSpec, context length, goal tolerance) "
        "and calibration.json (what is normal), and sees whether it has heads; not the weights.",
    ),
    CHECKPOINT_SHA256,
    *ROBOT_PARAMS,
    *SEARCH_PARAMS,
    *SURPRISE_PARAMS,
    *SUB_GOAL_PARAMS,
    Param(
        "deadline_s", 0.3, "A plan answers with its best so far after this long; 0: no deadline.", 0.0, 600.0
    ),
    Param(
        "costs_timeout_s",
        0.5,
        "Costs of one iteration are waited for this long; then no plan is published, and the "
        "next image is tried.",
        0.01,
        600.0,
    ),
    Param(
        "settle_s",
        0.05,
        "Waited after a block was executed before an image counts as the next look.",
        0.0,
        60.0,
    ),
    Param(
        "image_timeout_s", 1.0, "Without a fresh image for this long the status says NO_IMAGE.", 0.05, 600.0
    ),
    Param(
        "give_up_s",
        30.0,
        "Blocked by one thing (no image, no costs, no joint states, held by surprise) for this long, the goal "
        "fails.",
        0.1,
        86400.0,
    ),
    Param(
        "joint_state_tolerance_s",
        DEFAULT_TOLERANCE_S,
        "How far joint_states may lie from an image's stamp.",
        0.001,
        60.0,
    ),
    Param(
        "memory_gap_s",
        DEFAULT_GAP_S,
        "Short-term memory starts anew after a gap this long between two looks.",
        0.1,
        3600.0,
    ),
    Param("goal_tolerance", 0.0, "Latent distance that counts as reached; 0: the checkpoint's.", 0.0, 1000.0),
    Param(
        "goal_timeout_s",
        60.0,
        "A goal without a timeout of its own is given up after this long.",
        0.1,
        86400.0,
    ),
    Param("confirm_looks", 2, "Looks in a row within the tolerance that count as reached.", 1, 1000),
    Param(
        "follow_goal_topic",
        True,
        "Pursue goals that arrive on `goal` (from `goal_image` or encoder's set_goal) too, "
        "not only those of the reach_goal action.",
    ),
)

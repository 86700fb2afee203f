"""What a plan must be before it may move anything; the first thing wrong with it, as a reason and in words."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from jepa_ros.data.action_spec import ActionSpec
from jepa_ros.safety.states import Reason

_DT_TOLERANCE = 1e-4  # s; float32 in the message
MOST_ACTIONS = 1000
"""To be executed of one plan: targets of more would keep the guard from its emergency stop for longer than a period."""


@dataclass(frozen=True)
class Plan:
    """What the guard reads of an ActionPlan.

    stamp: s on the ROS clock, of the image it was made from.  actions: (N, A) raw actions, joint deltas in
        rad.
    dt: s between two of them.  execute: how many to execute before the next plan, 1..N.
    """

    stamp: float
    joint_names: Sequence[str]
    actions: np.ndarray
    dt: float
    execute: int
    space: str = "joint_delta"
    model_id: str = ""
    plan_id: str = ""


def check_content(plan: Plan, spec: ActionSpec, model_id: str = "") -> tuple[Reason, str]:
    """NONE, or what is wrong with a plan, whenever it came. model_id: the only one accepted; "" accepts any."""
    if plan.space != spec.space:
        return Reason.WRONG_SPACE, f"its actions are {plan.space!r}, this robot's are {spec.space!r}"
    if model_id and plan.model_id != model_id:
        return Reason.FOREIGN_MODEL, f"its model is {plan.model_id!r}, pinned is {model_id!r}"
    names = list(plan.joint_names)
    if sorted(names) != sorted(spec.joint_names):
        return Reason.WRONG_JOINTS, f"its joints are {names}, this robot's are {list(spec.joint_names)}"
    actions = np.asarray(plan.actions)
    if actions.size == 0:
        return Reason.EMPTY, "it has no actions"
    if actions.ndim != 2 or actions.shape[1] != len(names) or actions.dtype.kind not in "fiu":
        return Reason.PLAN_INVALID, f"its actions are of shape {actions.shape}, not (N, {len(names)})"
    if not np.all(np.isfinite(actions)):
        return Reason.NOT_FINITE, "its actions hold NaN or Inf"
    if plan.execute == 0:
        return Reason.EMPTY, "it asks for no action to be executed"
    if not 1 <= plan.execute <= len(actions):
        return Reason.PLAN_INVALID, f"it asks to execute {plan.execute} of {len(actions)} actions"
    if plan.execute > MOST_ACTIONS:
        return Reason.PLAN_INVALID, f"it asks to execute {plan.execute} actions, at most {MOST_ACTIONS}"
    if plan.dt <= 0:
        return Reason.NON_MONOTONIC, f"its actions are {plan.dt:g} s apart: time does not increase"
    if not abs(plan.dt - spec.dt) <= _DT_TOLERANCE:
        return Reason.PLAN_INVALID, f"its actions are {plan.dt} s apart, this robot's {spec.dt:g} s"
    if not math.isfinite(plan.stamp):
        return Reason.PLAN_INVALID, f"its stamp is {plan.stamp}"
    return Reason.NONE, ""

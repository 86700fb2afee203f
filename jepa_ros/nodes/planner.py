"""The actor: pursues goals by planning in latent space. No torch in this file: costs come from the graph."""

import math
import threading
import time
from dataclasses import replace

import numpy as np
from sensor_msgs.msg import JointState

from jepa_ros.action import ReachGoal
from jepa_ros.data.stamps import stamp_ns
from jepa_ros.errors import JepaError
from jepa_ros.msg import ActionPlan, Embedding, Goal, PlannerStatus, SafetyStatus
from jepa_ros.nodes.actor.graph_evaluator import GraphLink
from jepa_ros.nodes.actor.inbox import Inbox, Interrupted, Look
from jepa_ros.nodes.actor.model_card import read_card
from jepa_ros.nodes.actor.planner_params import (
    PLANNER_PARAMS,
    SEARCH_PARAMS,
    SUB_GOAL_PARAMS,
    SURPRISE_PARAMS,
)
from jepa_ros.nodes.actor.pursuit import Pursuit, Settings, new_status
from jepa_ros.nodes.actor.reach_goal_server import ReachGoalServer
from jepa_ros.nodes.actor.target import (
    THE_GOAL,
    EncoderSilent,
    Target,
    read_latents,
    read_request,
)
from jepa_ros.nodes.base.diagnostics import Report
from jepa_ros.nodes.base.lifecycle import INPUT_STALE_S, ManagedNode
from jepa_ros.nodes.base.robot import robot_spec
from jepa_ros.nodes.base.run import run
from jepa_ros.nodes.wire import qos, tensor
from jepa_ros.planning.config import PlannerConfig
from jepa_ros.planning.hierarchy import Hierarchy
from jepa_ros.planning.joint_history import JointHistory
from jepa_ros.planning.memory import ShortTermMemory
from jepa_ros.planning.receding_horizon import Planner
from jepa_ros.planning.sub_goals import SubGoalSettings
from jepa_ros.planning.surprise import SurpriseGate
from jepa_ros.planning.trigger import Cause
from jepa_ros.world_model.calibration import CALIBRATION, read_calibration
from jepa_ros.world_model.heads_file import macro_width
from jepa_ros.world_model.trust import HEADS, heads_may_be_used, require_digest

_ENCODE_TIMEOUT_S = 5.0
_ANNOUNCED = 64
"""Goals on the topic that are known again as this node's own: more than may be on their way to it."""


class PlannerNode(ManagedNode):
    """`embedding`, `joint_states`, `goal`, `costs`, `proposals` -> `candidates`, `proposal_request`, `plan`, `~/status`;
    action `reach_goal`.

    One goal at a time, by way of its sub-goals, a newer one takes the place of an older one. Goals come from the
    action, and from the topic `goal` where no action is running; a latched goal from before activation moves nothing.
    A goal ends where `action_publisher/safety_status` says that the arm will not move until somebody sees to it, and waits
    where that fell silent.

    link: what scores candidates and encodes goal images, for the composition where that is done in this
        process; its embeddings then come by ``see``. None: the graph.
    """

    NAME = "planner"
    PARAMS = PLANNER_PARAMS

    def __init__(self, link=None, **kwargs):
        self._given_link = link
        self._announced: tuple[str, ...] = ()  # ids of the last goals that this node put on the topic
        self._inbox = Inbox()
        self._thread: threading.Thread | None = None
        super().__init__(**kwargs)

    def _setup(self) -> None:
        if not self.param("checkpoint"):
            raise JepaError(
                "the parameter checkpoint is empty; set it to a directory that `jepa train --out` wrote"
            )
        require_digest(self.param("checkpoint"), self.param("checkpoint_sha256"))
        self._card = card = read_card(self.param("checkpoint"))
        spec = card.spec
        spec.require_match(
            robot_spec(self), f"checkpoint {self.param('checkpoint')}", f"robot of node {self.get_name()}"
        )
        config = PlannerConfig(**{p.name: self.param(p.name) for p in SEARCH_PARAMS})
        search = replace(config, mode="search", refine_steps=0)
        Planner(spec, search).plan(lambda actions: np.zeros(len(actions)), np.zeros(spec.dim))  # warm up
        planner = Planner(spec, config)
        self._proposes = self._has_policy(planner.config)
        memory = ShortTermMemory(spec, card.context, self.param("memory_gap_s"))
        self._joints = JointHistory(spec.joint_names, self.param("joint_state_tolerance_s"))
        settings = Settings(
            *(
                self.param(name)
                for name in ("deadline_s", "settle_s", "image_timeout_s", "give_up_s", "confirm_looks")
            ),
            SubGoalSettings(
                **{p.name.removeprefix("sub_goals."): self.param(p.name) for p in SUB_GOAL_PARAMS}
            ),
        )
        self._goals = self.publisher(Goal, "goal", qos.GOAL)
        self._statuses = self.publisher(PlannerStatus, "~/status", qos.STATUS)
        plans = self.publisher(ActionPlan, "plan", qos.PLAN)
        self.subscriber(JointState, "joint_states", self._on_joint_states, qos.JOINT_STATES, INPUT_STALE_S)
        self.subscriber(Goal, "goal", self._on_goal_topic, qos.GOAL_READER)
        self.subscriber(SafetyStatus, "action_publisher/safety_status", self._on_safety_status, qos.STATUS)
        self._link = self._given_link
        if self._link is None:
            self._link = GraphLink(self, spec, self._inbox, self.param("costs_timeout_s"))
            self.subscriber(Embedding, "embedding", self.see, qos.LATENT, INPUT_STALE_S)
        if planner.config.refine_steps and not self._link.gradients:
            raise JepaError(
                f"refine_steps is {planner.config.refine_steps}: gradients do not pass through messages; set it to 0, "
                "or run composition:=single"
            )
        self._gate = self._make_gate()
        self._pursuit = Pursuit(
            spec,
            planner,
            memory,
            self._inbox,
            self._joints,
            settings,
            self._link.evaluator,
            plans.publish,
            self._announce,
            self._report_status,
            self._now_ns,
            self._gate,
            self._guard_is_silent,
            self._proposes,
            self._make_hierarchy(config),
        )
        self._actions = ReachGoalServer(self, lambda: self.active, self._take, self._on_cancel)
        self.on_release(self._actions.destroy)

    def _has_policy(self, config: PlannerConfig) -> bool:
        """Whether world_model is asked for proposals; JepaError where the mode needs a policy that is not there."""
        checkpoint, pin = self.param("checkpoint"), self.param("checkpoint_sha256")
        found = heads_may_be_used(checkpoint, pin)
        if config.mode == "policy" and not found:
            raise JepaError(
                f"mode is policy, and {checkpoint} has no {HEADS} that may be used (a pin must name it too); set mode to "
                "search, or train heads: `jepa heads`"
            )
        return found and config.mode != "search"

    def _make_hierarchy(self, config: PlannerConfig) -> Hierarchy | None:
        """The planner's upper level; JepaError where the checkpoint has no slow level for it."""
        if config.levels == 1:
            return None
        checkpoint, pin = self.param("checkpoint"), self.param("checkpoint_sha256")
        size = macro_width(checkpoint) if heads_may_be_used(checkpoint, pin) else 0
        if not size:
            raise JepaError(
                f"levels is 2, and {checkpoint} has no {HEADS} with a slow level that may be used (a pin must name it too); "
                "set levels to 1, or train heads: `jepa heads`"
            )
        return Hierarchy(size, config)

    def _make_gate(self) -> SurpriseGate | None:
        """The surprise gate by the checkpoint's calibration; ``not_judged`` says why there is none."""
        self.not_judged = ""
        if not self.param("surprise.enabled"):
            self.not_judged = "looks are not judged: surprise.enabled is false"
            return None
        found = read_calibration(self.param("checkpoint"))
        if found is None:
            self.not_judged = (
                f"looks are not judged: checkpoint {self.param('checkpoint')} has no {CALIBRATION}; make one with "
                "`jepa calibrate`"
            )
            self.get_logger().warning(self.not_judged)
            return None
        model_id, calibration = found
        calibration.require_joints(self._card.spec.dim)
        settings = {p.name.removeprefix("surprise."): self.param(p.name) for p in SURPRISE_PARAMS[1:]}
        return SurpriseGate.calibrated(calibration, model_id, **settings)

    def _start(self) -> None:
        self._activated_ns = time.time_ns()
        self._guard_seen: float | None = None
        self._inbox.open()
        self._thread = threading.Thread(target=self._work, name="planner", daemon=True)
        self._thread.start()
        text = "; ".join(filter(None, ("no goal", self.not_judged)))
        self._statuses.publish(new_status(reason=PlannerStatus.NO_GOAL, text=text))

    def _stop(self) -> None:
        waiting = self._inbox.close(ReachGoal.Result.SHUTDOWN)
        self._conclude(waiting, ReachGoal.Result.SHUTDOWN, "the planner was deactivated")
        self._thread.join()

    def _diagnose(self, report: Report) -> None:
        status, look = self._pursuit.status, self._inbox.newest_look
        if status.state == PlannerStatus.WAITING:
            report.warn(status.text)
        if self.not_judged:
            report.warn(self.not_judged)
        report.add("model_id", look.encoder_id if look else "unknown")
        report.add("goal_id", status.goal_id or "none")
        report.add("goal", status.text or "none")
        report.add("last plan: cause", Cause(status.cause).name.lower())
        report.add("policy", "asked" if self._proposes else "not asked")
        made_anew = status.searched + status.proposed
        report.add("proposed_share", status.proposed / made_anew if made_anew else math.nan)
        for name in (
            "plans",
            "proposed",
            "searched",
            "kept",
            "deadline_misses",
            "dropped",
            "surprises",
            "sub_goal",
            "sub_goals",
            "fallbacks",
            "level",
            "targets_asked",
            "distance",
            "plan_rate_hz",
        ):
            report.add(name, getattr(status, name))
        report.add("last plan: proposal_left", status.proposal_left)
        for name in ("plan_ms", "encode_ms", "policy_ms", "rollout_ms", "cost_ms", "image_age_ms"):
            report.add(f"last plan: {name}", getattr(status, name))

    def see(self, msg: Embedding) -> None:
        """Take the newest embedding."""
        if self.active:
            latent = tensor.from_msg(msg.latent).reshape(-1)
            self._inbox.put_look(
                Look(
                    latent,
                    stamp_ns(msg),
                    msg.header,
                    msg.encoder_id,
                    msg.encode_ms,
                )
            )

    def _now_ns(self) -> int:
        return self.get_clock().now().nanoseconds

    def _on_joint_states(self, msg: JointState) -> None:
        self._joints.add(stamp_ns(msg), msg.name, msg.position)

    def _guard_is_silent(self) -> bool:
        """Whether action_publisher was there, and is there no more."""
        return self._guard_seen is not None and time.monotonic() - self._guard_seen > INPUT_STALE_S

    def _on_safety_status(self, msg: SafetyStatus) -> None:
        self._guard_seen = time.monotonic()
        if msg.state == SafetyStatus.ESTOPPED or msg.reason == SafetyStatus.TOO_MANY_VETOES:
            self._inbox.end_goal(
                self._inbox.current,
                ReachGoal.Result.SAFETY,
                f"the arm was stopped by action_publisher: {msg.text}",
            )

    # Goals in.

    def _on_goal_topic(self, msg: Goal, info) -> None:
        if (
            msg.goal_id in self._announced
            or self._by_action(self._inbox.current)
            or not self.param("follow_goal_topic")
        ):
            return
        if info["source_timestamp"] < self._activated_ns:
            self.get_logger().info(
                f"goal {msg.goal_id} is from before activation; publish it again to pursue it"
            )
            return
        self._take(msg)

    def _take(self, goal) -> None:
        replaced = self._inbox.put_goal(goal, ReachGoal.Result.PREEMPTED)
        self._conclude(replaced, ReachGoal.Result.PREEMPTED, "a newer goal took its place")

    def _on_cancel(self, handle) -> None:
        if self._inbox.end_goal(handle, ReachGoal.Result.CANCELED):
            self._conclude(handle, ReachGoal.Result.CANCELED, "canceled before it began")

    @staticmethod
    def _by_action(goal) -> bool:
        return goal is not None and not isinstance(goal, Goal)

    # The planner's thread.

    def _work(self) -> None:
        while (goal := self._inbox.take_goal()) is not None:
            began, target = self._now_ns(), None
            self._pursuit.status = new_status(goal_id=self._id(goal))
            try:
                target = self._target(goal)
                reason = self._pursuit.run(target)
                text = self._pursuit.status.text
            except Exception as error:
                reason, text = self._ended_by(error, target is None)
                self._pursuit.close(reason, text)
            self.get_logger().info(f"goal ended: {text}")
            self._conclude(goal, reason, text, elapsed_s=(self._now_ns() - began) * 1e-9)

    def _ended_by(self, error: Exception, unread: bool) -> tuple[int, str]:
        """Why an exception ends a goal, a termination reason and words. unread: the goal was not read yet."""
        result = ReachGoal.Result
        if isinstance(error, Interrupted):
            return error.reason, error.text or "ended before its goal image was encoded"
        if isinstance(error, EncoderSilent):
            return result.NO_IMAGE, str(error)
        self.report(error)
        if isinstance(error, JepaError):
            return result.REJECTED if unread else result.INTERNAL_ERROR, str(error)
        return result.INTERNAL_ERROR, f"{type(error).__name__}: {error}; the log has its traceback"

    def _id(self, goal) -> str:
        return bytes(goal.goal_id.uuid).hex() if self._by_action(goal) else goal.goal_id

    def _target(self, goal) -> Target:
        """The goal and its sub-goals as numbers; JepaError where one cannot be used."""
        goals = {THE_GOAL: goal}
        tolerance = self.param("goal_tolerance") or self._card.goal_tolerance
        timeout_s, sub_goal_tolerance = self.param("goal_timeout_s"), 0.0
        if self._by_action(goal):
            request = goal.request
            goals = read_request(
                request,
                self._id(goal),
                lambda image: self._link.encode(image, _ENCODE_TIMEOUT_S),
            )
            tolerance, timeout_s = request.tolerance or tolerance, request.timeout_s or timeout_s
            sub_goal_tolerance = request.sub_goal_tolerance
        latents = read_latents(goals, self._card.latent_dim)
        encoder_id = goals[THE_GOAL].embedding.encoder_id
        if self._gate is not None and self._gate.model_id != encoder_id:
            self.get_logger().warning(
                f"looks are not judged: {CALIBRATION} is of model {self._gate.model_id!r}, the goal of "
                f"{encoder_id!r}; make it again: `jepa calibrate`"
            )
        self._from_topic = not self._by_action(goal)
        sub_goal_tolerance = sub_goal_tolerance or self.param("sub_goals.looseness") * tolerance
        return Target(
            tuple(goals.values()), latents, float(tolerance), float(sub_goal_tolerance), float(timeout_s)
        )

    def _announce(self, goal: Goal) -> None:
        """Put what is pursued on the topic `goal`, where it does not come from there."""
        part = goal.part_of and goal.part_of == self._pursuit.status.goal_id
        if part or not self._from_topic:
            self._announced = (*self._announced, goal.goal_id)[-_ANNOUNCED:]
            self._goals.publish(goal)

    def _report_status(self, status: PlannerStatus) -> None:
        self._statuses.publish(status)
        goal = self._inbox.current
        if self._by_action(goal) and status.state in (PlannerStatus.EXECUTING, PlannerStatus.WAITING):
            goal.publish_feedback(
                ReachGoal.Feedback(
                    distance=status.distance,
                    tolerance=status.tolerance,
                    plan_rate_hz=status.plan_rate_hz,
                    image_age_ms=status.image_age_ms,
                    plan_ms=status.plan_ms,
                    plans=status.plans,
                    sub_goal=status.sub_goal,
                    sub_goals=status.sub_goals,
                    sub_goal_distance=status.sub_goal_distance,
                    advances=status.advances,
                    fallbacks=status.fallbacks,
                )
            )

    def _conclude(self, goal, reason: int, text: str, elapsed_s: float = 0.0) -> None:
        """Answer the client of a goal, where it has one."""
        if self._by_action(goal):
            status = self._pursuit.status
            self._actions.conclude(
                goal,
                ReachGoal.Result(
                    termination_reason=reason,
                    text=text,
                    final_distance=status.distance,
                    plans=status.plans,
                    elapsed_s=elapsed_s,
                    sub_goal=status.sub_goal,
                    advances=status.advances,
                    fallbacks=status.fallbacks,
                ),
            )


def main() -> None:
    """`ros2 run jepa_ros planner`"""
    raise SystemExit(run(lambda: [PlannerNode()]))


if __name__ == "__main__":
    main()

"""Look, plan, act: the planner's pursuit of one goal."""

import math
import time
import uuid
from array import array
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from jepa_ros.action import ReachGoal
from jepa_ros.data.action_spec import ActionSpec
from jepa_ros.data.stamps import stamp_ns
from jepa_ros.msg import ActionPlan, Embedding, Goal, PlannerStatus
from jepa_ros.nodes.actor.inbox import Inbox, Interrupted, Look
from jepa_ros.nodes.actor.target import Target
from jepa_ros.nodes.wire import tensor
from jepa_ros.planning.distance import latent_distance
from jepa_ros.planning.episode import PlanningEpisode
from jepa_ros.planning.hierarchy import Hierarchy
from jepa_ros.planning.joint_history import JointHistory
from jepa_ros.planning.memory import ShortTermMemory
from jepa_ros.planning.protocols import EvaluationTimeout
from jepa_ros.planning.receding_horizon import Planner
from jepa_ros.planning.sub_goals import SubGoals, SubGoalSettings
from jepa_ros.planning.surprise import Judgement, Level, SurpriseGate

_SLOW_SHARE = 0.5  # of deadline_s, in which the slow level finds its target
_SET_BACK_NS = 1_000_000_000  # an image this much older than the last one: the clock was set back
_END = {
    PlannerStatus.NO_IMAGE: ReachGoal.Result.NO_IMAGE,
    PlannerStatus.NO_JOINT_STATE: ReachGoal.Result.NO_JOINT_STATE,
    PlannerStatus.NO_ROLLOUTS: ReachGoal.Result.NO_COSTS,
    PlannerStatus.SURPRISE: ReachGoal.Result.SURPRISE,
    PlannerStatus.IMAGE_FROZEN: ReachGoal.Result.SURPRISE,
    PlannerStatus.SAFETY: ReachGoal.Result.SAFETY,
}
_SAID = {
    ReachGoal.Result.MODEL_MISMATCH: PlannerStatus.MODEL_MISMATCH,
    ReachGoal.Result.SAFETY: PlannerStatus.SAFETY,
    ReachGoal.Result.SUB_GOAL_LOST: PlannerStatus.SUB_GOAL_LOST,
    ReachGoal.Result.REJECTED: PlannerStatus.REJECTED,
    ReachGoal.Result.NO_IMAGE: PlannerStatus.NO_IMAGE,
    ReachGoal.Result.INTERNAL_ERROR: PlannerStatus.INTERNAL_ERROR,
}


@dataclass(frozen=True)
class Settings:
    """Times in s. deadline_s: for one plan, the slow level's target included; 0: none.
    settle_s: waited after a block before the next look.
    image_timeout_s: without a fresh image, until the status says so.  give_up_s: blocked by one thing for
    this long, the goal is given up.  confirm_looks: looks in a row within the tolerance that count as
    reached.  sub_goals: when one is passed, and when it is lost."""

    deadline_s: float
    settle_s: float
    image_timeout_s: float
    give_up_s: float
    confirm_looks: int
    sub_goals: SubGoalSettings = SubGoalSettings()


@dataclass(frozen=True)
class PlanRequest:
    """What an evaluator must know to score candidates. goal_id, goal: of the goal or sub-goal that is pursued.
    header: the newest look's.  context: planning.memory.Context."""

    plan_id: str
    goal_id: str
    model_id: str
    header: object
    context: object
    goal: np.ndarray
    reduction: str


class Pursuit:
    """Runs in the planner's thread. Every cycle starts from an image taken after the last block was executed:
    its stamp lies at or after publish time + block duration + settle time, on the ROS clock. Waiting itself
    is bounded by the steady clock, so a ROS clock that stands still hangs nothing. Candidates, costs and plans carry the
    id of the sub-goal that they are for: answers about another one are foreign.

    make_evaluator: PlanRequest -> evaluator, see graph_evaluator and direct_evaluator.  publish: sends an
    ActionPlan.  announce: told of the goal or sub-goal that is pursued from now on, before anything about it is sent.
    report: sends ``status``, at every change.  now_ns: the ROS clock.  gate: judges looks of goals
    that are encoded by its model; None judges none.  guard_is_silent: whether nobody is there to move the arm.
    proposes: whether evaluators have a policy to ask.  hierarchy: the slow level, None without one.
    """

    def __init__(
        self,
        spec: ActionSpec,
        planner: Planner,
        memory: ShortTermMemory,
        inbox: Inbox,
        joints: JointHistory,
        settings: Settings,
        make_evaluator: Callable,
        publish: Callable[[ActionPlan], None],
        announce: Callable[[Goal], None],
        report: Callable[[PlannerStatus], None],
        now_ns: Callable[[], int],
        gate: SurpriseGate | None = None,
        guard_is_silent: Callable[[], bool] = lambda: False,
        proposes: bool = False,
        hierarchy: Hierarchy | None = None,
    ):
        self._spec, self._episode = spec, PlanningEpisode(planner, memory, hierarchy=hierarchy)
        self._inbox, self._joints = inbox, joints
        self._settings, self._make_evaluator, self._publish = settings, make_evaluator, publish
        self._announce = announce
        self._report, self._now_ns, self._gate = report, now_ns, gate
        self._guard_is_silent, self._proposes = guard_is_silent, proposes
        self.status = new_status()

    def run(self, target: Target) -> int:
        """Pursue until a termination reason of ReachGoal; ``status`` has the words and the numbers."""
        gate = self._gate if self._gate is not None and self._gate.model_id == target.encoder_id else None
        self._sub_goals = SubGoals(target.latents, target.sub_goal_tolerance, self._settings.sub_goals)
        self.status = new_status(
            goal_id=target.goal_id, tolerance=target.tolerance, sub_goals=self._sub_goals.count
        )
        self._goal: Goal | None = None  # what is pursued: the goal or a sub-goal
        self._aim: Goal | None = None  # what is planned for: that, or a target of the slow level
        self.status.surprise_threshold = gate.settings.surprise_limit if gate else math.nan
        self._episode.gate, self._episode.sub_goals = gate, self._sub_goals
        self._episode.reset()
        self._published: deque[float] = deque(maxlen=5)
        self._blocked: tuple[int, float] | None = None  # by what, since when
        try:
            self._turn_to(target.goals[0])
            reason = self._cycle(target, time.monotonic() + target.timeout_s)
        except Interrupted as interrupted:
            reason = interrupted.reason
            if reason in (ReachGoal.Result.CANCELED, ReachGoal.Result.SHUTDOWN):
                self._cut_short()
            self.status.text = interrupted.text
        self.close(reason)
        return reason

    def _cycle(self, target: Target, ends: float) -> int:
        not_before, last, confirmed = self._now_ns(), 0, 0
        while True:
            left = ends - time.monotonic()
            blocked_by, since = self._blocked or (PlannerStatus.NONE, math.inf)
            if left <= 0 or time.monotonic() - since > self._settings.give_up_s:
                return _END.get(blocked_by, ReachGoal.Result.TIMEOUT)
            # Look.
            due_s = 1e-9 * np.clip(not_before - self._now_ns(), 0, self._block_ns)
            patience_s = due_s + self._settings.image_timeout_s
            look = self._inbox.look_from(
                not_before,
                last - _SET_BACK_NS,
                min(left, patience_s),
                lambda: self._now_ns() + _SET_BACK_NS,
            )
            if silent := self._guard_is_silent():
                self._wait(
                    PlannerStatus.SAFETY,
                    "action_publisher has fallen silent: does it run? A new one has to be armed: ~/arm",
                )
            elif look is None and left > patience_s:
                self._wait(
                    PlannerStatus.NO_IMAGE,
                    f"no image since {self._settings.image_timeout_s:g} s: do camera and "
                    "encoder run, and does /clock where use_sim_time is set?",
                )
            if look is None:
                continue
            not_before, set_back = look.stamp_ns + 1, look.stamp_ns < last
            last = look.stamp_ns
            if look.encoder_id != target.encoder_id or look.latent.shape != target.latents[-1].shape:
                self.status.text = (
                    f"images are encoded by checkpoint {look.encoder_id!r}, the goal by "
                    f"{target.encoder_id!r}; encode the goal anew"
                )
                return ReachGoal.Result.MODEL_MISMATCH
            if silent:
                continue
            proprio = self._joints.at(look.stamp_ns)
            if proprio is None:
                self._wait(
                    PlannerStatus.NO_JOINT_STATE,
                    "no joint_states near the image's stamp: does the robot's driver "
                    "run, with every joint and with the same clock?",
                )
                continue
            judgement = self._episode.look(look.latent, proprio, look.stamp_ns * 1e-9, set_back)
            self._turn_to(target.goals[self._sub_goals.index])
            self._note(judgement, look, target)
            if self._sub_goals.lost:
                self.status.text = self._sub_goals.lost
                return ReachGoal.Result.SUB_GOAL_LOST
            here = self._sub_goals.at_goal and not judgement.strange
            near = here and self.status.distance <= target.tolerance
            confirmed = confirmed + 1 if near else 0
            if confirmed >= self._settings.confirm_looks:
                return ReachGoal.Result.REACHED
            # Plan and act, and look again when the block has been executed.
            try:
                if judgement.level == Level.HOLD:
                    self._hold(look, judgement, proprio)
                else:
                    self._plan(look, judgement, proprio)
            except EvaluationTimeout as error:
                self._wait(PlannerStatus.NO_ROLLOUTS, str(error))
                continue
            not_before = self._now_ns() + self._block_ns

    def _turn_to(self, goal: Goal) -> None:
        if goal is not self._goal:
            self._goal = goal
            self._aim_at(goal)

    def _aim_at(self, goal: Goal) -> None:
        if goal is not self._aim:
            self._aim = goal
            self._announce(goal)

    def _note(self, judgement: Judgement, look: Look, target: Target) -> None:
        status, way = self.status, self._sub_goals
        status.distance = latent_distance(look.latent, target.latents[-1])
        status.sub_goal, status.advances, status.fallbacks = way.index, way.advances, way.fallbacks
        status.sub_goal_distance = latent_distance(look.latent, way.latent)
        status.surprise, status.unfamiliarity = judgement.surprise, judgement.unfamiliarity
        status.speed, status.surprises = judgement.speed, status.surprises + judgement.strange

    def _hold(self, look: Look, judgement: Judgement, proprio: np.ndarray) -> None:
        """Execute a plan not to move."""
        self._send(uuid.uuid4().hex, look, self._episode.hold(), proprio=array("d", proprio))
        self._wait(_reason(judgement), f"held: {judgement.text}")

    def _plan(self, look: Look, judgement: Judgement, proprio: np.ndarray) -> None:
        """Keep the plan at hand or search, publish, and note what was sent."""
        status = self.status
        status.state = PlannerStatus.PLANNING
        began = time.perf_counter()
        slow_ms = self._choose_aim(look)
        spent = time.perf_counter() - began
        request = self._request(look, self._aim)
        evaluator = self._make_evaluator(request)
        try:
            solution, actions = self._episode.plan(
                evaluator,
                request.goal,
                self._settings.deadline_s - spent if self._settings.deadline_s else None,
                evaluator.propose if self._proposes else None,
                self.status.tolerance,
            )
            predicted = self._episode.predict(evaluator, evaluator.predicted, solution, actions)
        finally:
            status.dropped += evaluator.dropped
        self._inbox.check()  # a plan of a canceled goal is never sent
        embedding = Embedding(
            header=look.header,
            encoder_id=look.encoder_id,
            latent=tensor.to_msg("predicted", np.atleast_2d(predicted)),
        )
        known = {"proprio": array("d", proprio), "expected_cost": solution.cost, "predicted": embedding}
        self._send(request.plan_id, look, actions, **known)
        self._episode.execute(actions, predicted)
        self._published.append(time.monotonic())
        lasted = self._published[-1] - self._published[0]
        status.state, status.reason, status.text = PlannerStatus.EXECUTING, _reason(judgement), judgement.text
        status.plan_ms = 1e3 * (time.perf_counter() - began)
        status.encode_ms, status.policy_ms, status.rollout_ms, status.cost_ms = (
            look.encode_ms,
            evaluator.policy_ms + slow_ms,
            evaluator.rollout_ms,
            evaluator.cost_ms,
        )
        status.image_age_ms = (self._now_ns() - look.stamp_ns) * 1e-6
        status.plan_rate_hz = (len(self._published) - 1) / lasted if lasted > 0 else 0.0
        status.cause, makers = int(self._episode.cause), self._episode.makers
        status.kept, status.searched, status.proposed = makers["keep"], makers["search"], makers["policy"]
        status.proposal_left = solution.proposal_left
        status.deadline_misses += solution.deadline_missed
        status.term_names, terms = evaluator.terms(solution.best_at)
        status.term_costs = array("f", terms)
        status.energies = array("f", self._episode.energies)
        self._blocked = None
        self._report(status)

    def _request(self, look: Look, goal: Goal) -> PlanRequest:
        return PlanRequest(
            uuid.uuid4().hex,
            goal.goal_id,
            look.encoder_id,
            look.header,
            self._episode.context,
            tensor.from_msg(goal.embedding.latent).reshape(-1),
            self._episode.planner.reduction,
        )

    def _choose_aim(self, look: Look) -> float:
        """Aim at the goal, or at the slow level's target; returns the time that the slow level took, ms."""
        hierarchy, status = self._episode.hierarchy, self.status
        if hierarchy is None:
            return 0.0
        evaluator = self._make_evaluator(self._request(look, self._goal))
        try:
            slow_s = _SLOW_SHARE * self._settings.deadline_s or None
            aim = self._episode.aim(self._sub_goals.latent, evaluator.foresee, status.tolerance, slow_s)
        finally:
            status.dropped += evaluator.dropped
            status.targets_asked, status.blocks_to_go = hierarchy.asked, hierarchy.blocks
        status.level, status.target_distance = 1, math.nan
        if hierarchy.target is None:
            self._aim_at(self._goal)
            return evaluator.policy_ms
        target = Embedding(
            header=look.header, encoder_id=look.encoder_id, latent=tensor.to_msg("target", aim[None])
        )
        if self._aim is self._goal or target.latent != self._aim.embedding.latent:
            name = f"{self._goal.goal_id}/{hierarchy.asked}"
            self._aim_at(Goal(header=look.header, goal_id=name, part_of=status.goal_id, embedding=target))
        status.level, status.target_distance = 2, latent_distance(look.latent, aim)
        return evaluator.policy_ms

    @property
    def _block_ns(self) -> int:
        """From a plan to the next look, ns."""
        return int(1e9 * (self._spec.block * self._spec.dt + self._settings.settle_s))

    def _cut_short(self) -> None:
        """End the block that is being executed: a plan not to move, from the next image; at deactivation, when no more are heard,
        from one that has come already."""
        if not self.status.plans:
            return
        look = self._inbox.later_look(stamp_ns(self.status), 1e-9 * self._block_ns)
        if look is not None:
            still = np.zeros((self._spec.block, self._spec.dim), dtype=np.float32)
            self._send(uuid.uuid4().hex, look, still)

    def _send(self, plan_id: str, look: Look, actions: np.ndarray, **known) -> None:
        """Publish actions (N, A) as a plan from the image of ``look``."""
        spec, status = self._spec, self.status
        status.header, status.plan_id, status.plans = look.header, plan_id, status.plans + 1
        self._publish(
            ActionPlan(
                header=look.header,
                plan_id=plan_id,
                goal_id=self._aim.goal_id,
                model_id=look.encoder_id,
                joint_names=list(spec.joint_names),
                space=spec.space,
                dt=spec.dt,
                block=spec.block,
                execute=spec.block,
                actions=tensor.to_msg("actions", actions),
                **known,
            )
        )

    def _wait(self, reason: int, text: str) -> None:
        """Something needed is missing: say so, and go on trying."""
        if self._blocked is None or self._blocked[0] != reason:
            self._blocked = reason, time.monotonic()
        self.status.state, self.status.reason, self.status.text = PlannerStatus.WAITING, reason, text
        self._report(self.status)

    def close(self, reason: int, text: str = "") -> None:
        """The last status of a goal: why it ended, in ``text`` where ``status`` does not say it."""
        result, status = ReachGoal.Result, self.status
        status.text = text or status.text
        status.state = PlannerStatus.REACHED if reason == result.REACHED else PlannerStatus.FAILED
        if reason == result.REACHED:
            status.reason, status.text = PlannerStatus.NONE, f"within {status.tolerance:.3f} of the goal"
        elif reason == result.TIMEOUT:
            status.reason, status.text = PlannerStatus.TIMEOUT, self._out_of_time()
        elif reason == result.CANCELED:
            status.reason, status.text = PlannerStatus.CANCELED, "canceled"
        elif reason == result.PREEMPTED:
            status.reason, status.text = PlannerStatus.PREEMPTED, "a newer goal took its place"
        elif reason in _SAID:
            status.reason = _SAID[reason]
        elif reason == result.SHUTDOWN:
            status.state, status.reason, status.text = (
                PlannerStatus.IDLE,
                PlannerStatus.NO_GOAL,
                "deactivated",
            )
        self._report(status)

    def _out_of_time(self) -> str:
        """How far the goal, and the sub-goal that was pursued, were when the time was over."""
        status = self.status
        text = f"out of time, {status.distance:.3f} from the goal"
        if not self._sub_goals.at_goal:
            text += f" and {status.sub_goal_distance:.3f} from sub-goal {status.sub_goal + 1} of {status.sub_goals}"
        if self._episode.ignored and not self._episode.moved:
            text += (
                "; the arm never moved: is action_publisher armed? see ~/safety_status of action_publisher"
            )
        return text


def new_status(**values) -> PlannerStatus:
    """A status in which nothing is known yet."""
    unknown = (
        "distance",
        "sub_goal_distance",
        "surprise",
        "surprise_threshold",
        "unfamiliarity",
        "proposal_left",
        "target_distance",
        "blocks_to_go",
    )
    return PlannerStatus(**dict.fromkeys(unknown, math.nan), speed=1.0, level=1, **values)


def _reason(judgement: Judgement) -> int:
    if judgement.level == Level.OK:
        return PlannerStatus.NONE
    return PlannerStatus.IMAGE_FROZEN if judgement.frozen else PlannerStatus.SURPRISE

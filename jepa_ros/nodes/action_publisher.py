"""Sends the first block of every good plan to the arm's controller, and guards it. No torch in this
process."""

import math
import time
from array import array

from builtin_interfaces.msg import Duration as DurationMsg
from rclpy.duration import Duration
from rclpy.time import Time
from sensor_msgs.msg import JointState
from std_msgs.msg import Header
from std_srvs.srv import SetBool, Trigger
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from jepa_ros.errors import JepaError
from jepa_ros.msg import ActionPlan, SafetyStatus
from jepa_ros.nodes import qos, tensor
from jepa_ros.nodes.lifecycle import ManagedNode
from jepa_ros.nodes.parameters import Param
from jepa_ros.nodes.robot import ROBOT_PARAMS, robot_spec
from jepa_ros.nodes.run import run
from jepa_ros.safety.guard import ActionGuard, Command, GuardConfig, Now, Plan
from jepa_ros.safety.limits import JointLimits
from jepa_ros.safety.states import Reason, SafetyState

_DEFAULT = GuardConfig()
_STATUS_PERIOD_S = 0.5


class ActionPublisherNode(ManagedNode):
    """`plan`, `joint_states` -> `joint_trajectory`, `~/safety_status`; `~/arm`, `~/hold`, `~/estop`,
    `~/reset_estop`.

    The guard is called by the executor's one thread only. A trajectory is stamped 0, which tells a joint
    trajectory controller to begin on receipt: the image's stamp would make it drop the points that planning
    time has passed. The image's stamp comes with the plan; its age when the command was sent is
    SafetyStatus.plan_age_s, the latency from image to command, repeated until the next plan.
    """

    NAME = "action_publisher"
    PARAMS = (
        *ROBOT_PARAMS,
        Param("auto_arm", False, "Arm at activation. For simulation; on a robot, arm with ~/arm."),
        Param("position_margin", 0.0, "Kept from every position limit, rad.", 0.0, 1.0),
        Param(
            "plan_timeout",
            _DEFAULT.plan_timeout,
            "Hold when no plan was accepted for this long, s.",
            0.01,
            600.0,
        ),
        Param("max_plan_age", _DEFAULT.max_plan_age, "Oldest image a plan may come from, s.", 0.01, 600.0),
        Param(
            "joint_state_timeout",
            _DEFAULT.joint_state_timeout,
            "Oldest joint_states to move by, s.",
            0.01,
            600.0,
        ),
        Param(
            "resync_tolerance",
            _DEFAULT.resync_tolerance,
            "Where the arm is further than this from its command, the "
            "measured position counts as the command, rad.",
            0.001,
            10.0,
        ),
        Param("model_id", "", "Accept plans of this checkpoint only; empty accepts any."),
        Param("watchdog_hz", 20.0, "How often timeouts are checked.", 1.0, 1000.0),
    )

    _guard: ActionGuard | None = None

    def _setup(self) -> None:
        spec = robot_spec(self)
        limits = JointLimits.from_spec(spec, self.param("robot.velocity"), self.param("position_margin"))
        stopped = self._guard is not None and self._guard.state == SafetyState.ESTOPPED
        self._guard = ActionGuard(
            spec,
            limits,
            GuardConfig(
                plan_timeout=self.param("plan_timeout"),
                max_plan_age=self.param("max_plan_age"),
                joint_state_timeout=self.param("joint_state_timeout"),
                resync_tolerance=self.param("resync_tolerance"),
                model_id=self.param("model_id"),
            ),
        )
        if stopped:  # only ~/reset_estop ends an emergency stop
            self._guard.estop(self._now())
        self._trajectories = self.publisher(JointTrajectory, "joint_trajectory", qos.COMMAND)
        self._statuses = self.publisher(SafetyStatus, "~/safety_status", qos.STATUS)
        self.subscriber(ActionPlan, "plan", self._on_plan, qos.PLAN)
        self.subscriber(JointState, "joint_states", self._on_joint_states, qos.JOINT_STATES)
        self.serve(SetBool, "~/arm", self._serve_arm)
        self.serve(Trigger, "~/hold", lambda _, response: self._serve_hold(response))
        self.serve(Trigger, "~/estop", lambda _, response: self._serve_estop(response))
        self.serve(Trigger, "~/reset_estop", lambda _, response: self._serve_reset(response))
        self.every(1.0 / self.param("watchdog_hz"), self._watch)
        self._reported_at, self._plan_age_s = -math.inf, math.nan

    def _start(self) -> None:
        if self.param("auto_arm"):
            self._guard.arm(self._now())
        self._report_status()

    def _stop(self) -> None:
        self._send(self._guard.disarm(self._now(), Reason.SHUTDOWN))
        self._report_status()
        self._trajectories.wait_for_all_acked(Duration(seconds=0.5))

    def _now(self) -> Now:
        return Now(time.monotonic(), self.get_clock().now().nanoseconds * 1e-9)

    def _on_plan(self, msg: ActionPlan) -> None:
        now = self._now()
        try:
            actions = tensor.from_msg(msg.actions)
        except JepaError as error:
            actions, _ = math.nan, self.report(error)  # the guard vetoes and counts it
        plan = Plan(
            stamp=Time.from_msg(msg.header.stamp).nanoseconds * 1e-9,
            joint_names=msg.joint_names,
            actions=actions,
            dt=msg.dt,
            execute=msg.execute,
            space=msg.space,
            model_id=msg.model_id,
            plan_id=msg.plan_id,
        )
        verdict = self._guard.submit(plan, now)
        self._send(verdict.command)
        if verdict.accepted:
            self._plan_age_s = self._now().ros - plan.stamp
        else:
            self.get_logger().warning(f"plan {msg.plan_id}: {verdict.text}", throttle_duration_sec=1.0)
        self._report_status()

    def _on_joint_states(self, msg: JointState) -> None:
        reason = self._guard.observe(msg.name, msg.position, self._now())
        if reason:
            raise JepaError(f"joint_states ignored: {reason.name}; they hold {list(msg.name)}")

    def _watch(self) -> None:
        before = self._guard.state
        self._send(self._guard.tick(self._now()))
        if self._guard.state != before:
            self.get_logger().warning(f"{self._guard.state.name}: {self._guard.text}")
            self._report_status()
        elif time.monotonic() - self._reported_at >= _STATUS_PERIOD_S:
            self._report_status()

    def _send(self, command: Command | None) -> None:
        if command is not None:
            points = [
                JointTrajectoryPoint(
                    positions=array("d", position),
                    time_from_start=DurationMsg(sec=int(t), nanosec=round((t - int(t)) * 1e9)),
                )
                for position, t in zip(command.positions, command.times_from_start.tolist(), strict=True)
            ]
            self._trajectories.publish(JointTrajectory(joint_names=list(command.joint_names), points=points))

    def _report_status(self) -> None:
        status = self._guard.status(self._now())
        self._reported_at = time.monotonic()
        self._statuses.publish(
            SafetyStatus(
                header=Header(stamp=self.get_clock().now().to_msg()),
                state=int(status.state),
                reason=int(status.reason),
                text=status.text,
                clamped=status.clamped,
                vetoed=status.vetoed,
                plan_age_s=self._plan_age_s,
                joint_state_age_s=_finite(status.joint_state_age_s),
                joint_names=list(self._guard.limits.names),
                command=array("f", [] if status.command is None else status.command),
            )
        )

    def _serve_arm(self, request, response) -> None:
        if request.data:
            if not self.active:
                raise JepaError("the node is not active; activate it, then arm")
            reason = self._guard.arm(self._now())
            response.success, response.message = not reason, reason.name if reason else "armed"
        else:
            self._send(self._guard.disarm(self._now()))
            response.success, response.message = True, "disarmed"
        self._report_status()

    def _serve_hold(self, response) -> None:
        self._send(self._guard.hold(self._now(), until_armed=True))
        response.success, response.message = True, "held; arm to go on"
        self._report_status()

    def _serve_estop(self, response) -> None:
        self._send(self._guard.estop(self._now()))
        response.success, response.message = True, self._guard.text
        self._report_status()

    def _serve_reset(self, response) -> None:
        self._guard.reset_estop()
        response.success, response.message = True, f"now {self._guard.state.name}"
        self._report_status()


def _finite(value: float) -> float:
    return value if math.isfinite(value) else math.nan


def main() -> None:
    """`ros2 run jepa_ros action_publisher`"""
    raise SystemExit(run(lambda: [ActionPublisherNode()]))


if __name__ == "__main__":
    main()

"""Follows good plans with setpoints that keep every limit, and holds the arm otherwise. No torch in this
process."""

import math
import time
from array import array

from rclpy.duration import Duration
from sensor_msgs.msg import CompressedImage, Image, JointState
from std_msgs.msg import Bool, Header
from std_srvs.srv import SetBool, Trigger

from jepa_ros.data.cdr import header_stamp_ns
from jepa_ros.data.stamps import stamp_ns
from jepa_ros.errors import JepaError
from jepa_ros.msg import ActionPlan, Embedding, SafetyStatus
from jepa_ros.nodes.base.diagnostics import Report
from jepa_ros.nodes.base.lifecycle import INPUT_STALE_S, ManagedNode
from jepa_ros.nodes.base.priority import set_nice
from jepa_ros.nodes.base.robot import robot_spec
from jepa_ros.nodes.base.run import run
from jepa_ros.nodes.guard import arm_output, guard_params
from jepa_ros.nodes.wire import qos, tensor
from jepa_ros.safety.guard import ActionGuard, Now, Plan, Setpoint
from jepa_ros.safety.states import Reason, SafetyState

_STATUS_PERIOD_S = 0.5
_LAST_HOLD_S = 5.0  # longest time to come to rest in at deactivation
_COUNT_AT_ONCE = ("use_sim_time", "auto_arm")  # parameters; auto_arm at the next activation


class ActionPublisherNode(ManagedNode):
    """`plan`, `joint_states`, `embedding`, `image` -> `joint_trajectory` (or `commands`, `twist_cmds`),
    `~/safety_status`; `~/arm`, `~/hold`, `~/estop`, `~/reset_estop`.

    The guard is called by the executor's one thread only. While the arm is to move, a setpoint goes out
    publish_rate_hz times a second, and one at once when a plan is accepted; at rest nothing does. Of images and
    embeddings only stamps are read. SafetyStatus.plan_age_s is the age of the plan's image when the first setpoint
    that comes of it was sent, the latency from image to command, repeated until the next plan. In a dry run there
    is no publisher to the arm.
    """

    NAME = "action_publisher"
    PARAMS = guard_params.GUARD_PARAMS

    _guard: ActionGuard | None = None

    def _setup(self) -> None:
        spec = robot_spec(self)
        self._urdf = None
        if guard_params.needs_urdf(self):
            self._urdf = guard_params.read_urdf(self, lambda: guard_params.awaited_description(self))
        stopped = self._guard is not None and self._guard.state == SafetyState.ESTOPPED
        self._guard = ActionGuard(
            spec,
            guard_params.joint_limits(self, self._urdf),
            guard_params.guard_config(self),
            guard_params.workspace(self, self._urdf),
        )
        if stopped:  # only ~/reset_estop ends an emergency stop
            self._guard.estop(self._now())
        self._output_type, self._dry_run = self.param("output_type"), self.param("dry_run")
        self._point_velocities = self.param("point_velocities")
        output = arm_output.OUTPUTS[self._output_type]
        topic = f"~/dry_run/{output.topic}" if self._dry_run else output.topic
        self._commands = self.publisher(output.kind, topic, qos.COMMAND)
        self._statuses = self.publisher(SafetyStatus, "~/safety_status", qos.STATUS)
        self.subscriber(ActionPlan, "plan", self._on_plan, qos.PLAN)
        self.subscriber(JointState, "joint_states", self._on_joint_states, qos.JOINT_STATES, INPUT_STALE_S)
        self._watch_camera()
        if self.param("deadman_topic"):
            self.subscriber(Bool, self.param("deadman_topic"), self._on_deadman, qos.STATUS)
        self.serve(SetBool, "~/arm", self._serve_arm)
        self.serve(Trigger, "~/hold", lambda _, response: self._serve_hold(response))
        self.serve(Trigger, "~/estop", lambda _, response: self._serve_estop(response))
        self.serve(Trigger, "~/reset_estop", lambda _, response: self._serve_reset(response))
        self.every(1.0 / self.param("publish_rate_hz"), self._tick)
        self._reported_at, self._plan_age_s = -math.inf, math.nan

    def _watch_camera(self) -> None:
        if self.param("watchdog.embedding_s"):
            self.subscriber(
                Embedding,
                "embedding",
                lambda data: self._guard.see_embedding(self._now(), _stamp(header_stamp_ns(data))),
                qos.LATENT,
                raw=True,
            )
        if self.param("watchdog.image_s"):
            compressed = self.param("image_transport") == "compressed"
            self.subscriber(
                CompressedImage if compressed else Image,
                "image/compressed" if compressed else "image",
                lambda data: self._guard.see_image(self._now(), _stamp(header_stamp_ns(data))),
                qos.image(self.param("image_reliability")),
                raw=True,
            )

    def _start(self) -> None:
        if self.param("auto_arm"):
            self._guard.arm(self._now())
        self._report_status()

    def _stop(self) -> None:
        self._send(self._guard.disarm(self._now(), Reason.SHUTDOWN))
        period, until = 1.0 / self.param("publish_rate_hz"), time.monotonic() + _LAST_HOLD_S
        while self._guard.moving and time.monotonic() < until:
            time.sleep(period)
            self._send(self._guard.tick(self._now()))
        self._report_status()
        self._commands.wait_for_all_acked(Duration(seconds=0.5))

    def refuse_change(self, name: str, value) -> str:
        """Why a parameter may not be changed now; "" where it may."""
        if self.active and self._guard.state == SafetyState.RUNNING:
            return f"{name} cannot be changed while RUNNING; call ~/hold first"
        if self._holds and name not in _COUNT_AT_ONCE:
            self.get_logger().warning(
                f"{name} counts from the next configure on; until then the old value does"
            )
        return ""

    def _diagnose(self, report: Report) -> None:
        status = self._guard.status(self._now())
        said = f"{status.state.name}: {status.text}".rstrip(": ")
        if status.state == SafetyState.ESTOPPED:
            report.error(said)
        elif status.state == SafetyState.HOLDING:
            report.warn(said)
        others = self.count_publishers(self._commands.topic_name) - 1
        if others > 0 and not self._dry_run:
            report.warn(
                f"{others} more command the arm on {self._commands.topic_name}, past this guard: stop them"
            )
        planners = self.count_publishers("plan")
        if planners > 1:
            report.warn(
                f"{planners} publish plans, and the newest is followed, whoever made it: stop all but one"
            )
        report.add("guard", status.state.name)
        report.add("reason", status.reason.name)
        report.add("dry_run", self._dry_run)
        report.add("vetoed", status.vetoed)
        report.add("clamped", status.clamped)
        report.add("tracking_error_rad", status.tracking_error)
        report.add("plan_age_s", self._plan_age_s)
        report.add("model_id", self.param("model_id") or "any")

    def _now(self) -> Now:
        return Now(time.monotonic(), self.get_clock().now().nanoseconds * 1e-9)

    # What comes in.

    def _on_plan(self, msg: ActionPlan) -> None:
        now = self._now()
        try:
            actions = tensor.from_msg(msg.actions)
        except JepaError as error:
            actions, _ = math.nan, self.report(error)  # the guard vetoes and counts it
        plan = Plan(
            stamp=stamp_ns(msg) * 1e-9,
            joint_names=msg.joint_names,
            actions=actions,
            dt=msg.dt,
            execute=msg.execute,
            space=msg.space,
            model_id=msg.model_id,
            plan_id=msg.plan_id,
        )
        verdict = self._guard.submit(plan, now)
        self._send(verdict.setpoint)
        if verdict.accepted:
            self._plan_age_s = self._now().ros - plan.stamp
        else:
            self.get_logger().warning(f"plan {msg.plan_id}: {verdict.text}", throttle_duration_sec=1.0)
        self._report_status()

    def _on_joint_states(self, msg: JointState) -> None:
        stamp = _stamp(stamp_ns(msg))
        reason = self._guard.observe(msg.name, msg.position, self._now(), stamp)
        if reason:
            raise JepaError(f"joint_states ignored: {reason.name}; they hold {list(msg.name)}")

    def _on_deadman(self, msg: Bool) -> None:
        self._guard.see_deadman(msg.data, self._now())

    # What goes out.

    def _tick(self) -> None:
        before = self._guard.state
        self._send(self._guard.tick(self._now()))
        if self._guard.state != before:
            self.get_logger().warning(f"{self._guard.state.name}: {self._guard.text}")
            self._report_status()
        elif time.monotonic() - self._reported_at >= _STATUS_PERIOD_S:
            self._report_status()

    def _send(self, setpoint: Setpoint | None) -> None:
        if setpoint is None:
            return
        if self._output_type == "trajectory":
            message = arm_output.trajectory(setpoint, self._point_velocities)
        elif self._output_type == "commands":
            message = arm_output.positions(setpoint)
        else:
            stamp = self.get_clock().now().to_msg()
            message = arm_output.twist(setpoint, self._urdf.jacobian, self._urdf.base_link, stamp)
        self._commands.publish(message)
        self._guard.went_out(self._now())

    def _report_status(self) -> None:
        status = self._guard.status(self._now())
        self._reported_at = time.monotonic()
        self._statuses.publish(
            SafetyStatus(
                header=Header(stamp=self.get_clock().now().to_msg()),
                state=int(status.state),
                reason=int(status.reason),
                text=status.text,
                dry_run=self._dry_run,
                clamped=status.clamped,
                vetoed=status.vetoed,
                vetoed_in_a_row=status.vetoed_in_a_row,
                vetoed_by_reason=array("I", status.vetoed_by_reason),
                plan_age_s=self._plan_age_s,
                joint_state_age_s=status.joint_state_age_s,
                image_age_s=status.image_age_s,
                embedding_age_s=status.embedding_age_s,
                tracking_error=status.tracking_error,
                joint_names=list(self._guard.limits.names),
                command=array("f", [] if status.command is None else status.command),
            )
        )

    # Services.

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


def _stamp(nanoseconds: int) -> float | None:
    """s; None for a header without a stamp."""
    return nanoseconds * 1e-9 if nanoseconds else None


def _make_nodes() -> list[ActionPublisherNode]:
    """The node, in a process of its own that is preferred as its parameter says."""
    node = ActionPublisherNode()
    if node.param("nice") and (refused := set_nice(node.param("nice"))):
        node.get_logger().info(refused)
    return [node]


def main() -> None:
    """`ros2 run jepa_ros action_publisher`"""
    raise SystemExit(run(_make_nodes))


if __name__ == "__main__":
    main()

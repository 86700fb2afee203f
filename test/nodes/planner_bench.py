"""The planner, and a bench that plays camera, robot, encoder, world model and cost around it."""

import threading

import numpy as np
from jepa_ros.action import ReachGoal
from jepa_ros.msg import ActionCandidates, ActionPlan, CandidateCosts, Embedding, Goal, PlannerStatus
from node_bench import WAIT_S, make_spec
from rclpy.action import ActionClient
from sensor_msgs.msg import JointState
from std_msgs.msg import Header

from jepa_ros.nodes.planner import PlannerNode
from jepa_ros.nodes.wire import qos, tensor

SPEC, D = make_spec(), 16
GOAL = np.ones(D, np.float32)
RESULT = ReachGoal.Result
SAMPLES, ITERATIONS, HORIZON = 16, 2, 2
LOOK_PERIOD_S, SOON_S = 0.05, 0.3
"""s. SOON_S: a timeout for tests that wait for it."""
ENCODE_MS, ROLLOUT_MS = 2.0, 1.0


def embedded(value, width=D, encoder_id="model"):
    """The embedding of an image whose latent is ``value``, (width,) or the same throughout."""
    latent = np.full((1, width), value, np.float32)
    return Embedding(encoder_id=encoder_id, latent=tensor.to_msg("latent", latent))


class Bench:
    """Feeds looks of latent ``latent``, one every LOOK_PERIOD_S; ``answer`` says what becomes of candidates."""

    def __init__(self, world, checkpoint, **parameters):
        self.world, self.latent, self.feed, self.silent = world, np.zeros(D, np.float32), True, False
        self.position, self.speed = 0.0, 0.0  # of every joint, or (A,), rad; per look
        self.encoder_id, self.on_asked = "model", lambda msg: self.costs.publish(self.answer(msg))
        defaults = {
            "checkpoint": checkpoint,
            "deadline_s": 0.0,
            "samples": SAMPLES,
            "iterations": ITERATIONS,
            "horizon": HORIZON,
            "settle_s": 0.0,
            "costs_timeout_s": WAIT_S,
            "image_timeout_s": WAIT_S,
        }
        self.node = world.make(PlannerNode, parameters=defaults | parameters)
        self.status = world.listen(PlannerStatus, "planner/status")
        self.plans, self.candidates = (
            world.listen(ActionPlan, "plan"),
            world.listen(ActionCandidates, "candidates"),
        )
        self.goals = world.listen(Goal, "goal", qos.GOAL_READER)
        self.costs = world.talk(CandidateCosts, "costs", qos.LATENT)
        self.embeddings = world.talk(Embedding, "embedding", qos.LATENT)
        self.joints = world.talk(JointState, "joint_states")
        world.bench.create_subscription(ActionCandidates, "candidates", self.on_candidates, qos.LATENT)
        self.action = ActionClient(world.bench, ReachGoal, "reach_goal")
        assert self.action.wait_for_server(WAIT_S)
        world.until(
            lambda: (
                world.bench.count_subscribers(f"{world.namespace}/candidates") == 2
                and self.node._statuses.get_subscription_count() == 1
                and self.node._link._candidates.get_subscription_count() == 2
            )
        )
        self.timer = world.bench.create_timer(LOOK_PERIOD_S, self.look)

    def look(self):
        if self.feed:
            header = Header(stamp=self.world.bench.get_clock().now().to_msg(), frame_id="camera")
            self.position += self.speed
            self.joints.publish(
                JointState(
                    header=header,
                    name=list(SPEC.joint_names),
                    position=np.broadcast_to(self.position, SPEC.dim).tolist(),
                )
            )
            self.embeddings.publish(
                Embedding(
                    header=header,
                    encoder_id=self.encoder_id,
                    encode_ms=ENCODE_MS,
                    latent=tensor.to_msg("latent", self.latent[None]),
                )
            )

    def on_candidates(self, msg):
        if not self.silent:
            self.on_asked(msg)

    def answer(self, msg, **changes):
        actions = tensor.from_msg(msg.actions)
        totals = 100.0 - actions.sum((1, 2))  # the best plan is never not to move
        values = dict(
            plan_id=msg.plan_id,
            iteration=msg.iteration,
            goal_id=msg.goal_id,
            term_names=["goal_distance"],
            totals=tensor.to_msg("totals", totals),
            steps=tensor.to_msg("steps", np.repeat(totals[:, None] / actions.shape[1], actions.shape[1], 1)),
            terms=tensor.to_msg("terms", totals[None]),
            best_next=tensor.to_msg("best_next", np.zeros(D, np.float32)),
            rollout_ms=ROLLOUT_MS,
        )
        return CandidateCosts(**values | changes)

    def send(self, **request):
        """Send a goal; returns (handle, function that waits for the result)."""
        values = dict(
            use_embedding=True,
            timeout_s=30.0,
            goal_embedding=embedded(GOAL),
        )
        goal = ReachGoal.Goal(**values | request)
        handle = wait_for(self.world.in_executor(lambda: self.action.send_goal_async(goal)))
        assert handle.accepted
        result = self.world.in_executor(handle.get_result_async)
        return handle, lambda timeout_s=WAIT_S: wait_for(result, timeout_s).result


def wait_for(future, timeout_s=WAIT_S):
    """What a future gives."""
    done = threading.Event()
    future.add_done_callback(lambda _: done.set())
    assert done.wait(timeout_s)
    return future.result()

"""A bench for nodes: they live in this process and talk over real DDS; every wait is for an event, and
bounded."""

import gc
import itertools
import threading
import traceback

import numpy as np

WAIT_S = 60.0
PATIENT_GUARD = {
    "max_plan_age": 5.0,
    "tracking_tolerance": 5.0,
    "watchdog.image_s": 5.0,
    "watchdog.embedding_s": 5.0,
    "watchdog.joint_state_s": 5.0,
}
"""Parameters of action_publisher for whole graphs on a busy test machine: what is tested is not its speed."""


class Inbox:
    """Messages of one topic, in order of arrival."""

    def __init__(self):
        self._changed = threading.Condition()
        self.messages = []

    def __call__(self, msg):
        with self._changed:
            self.messages.append(msg)
            self._changed.notify_all()

    def wait(self, matches=lambda msg: True, timeout_s=WAIT_S):
        """The first message that matches, whether it came already or not; fails the test without one."""

        def found():
            return next((m for m in self.messages if matches(m)), None)

        with self._changed:
            self._changed.wait_for(lambda: found() is not None, timeout_s)
            msg = found()
        assert msg is not None, (
            f"no such message within {timeout_s} s; got {len(self.messages)}: {self.messages[-3:]}"
        )
        return msg

    def clear(self):
        with self._changed:
            self.messages.clear()


class World:
    """A namespace of its own, nodes that spin in a background thread, and a bench node that plays the
    others."""

    _count = itertools.count()

    def __init__(self):
        import rclpy
        from rclpy.executors import SingleThreadedExecutor

        from jepa_ros.nodes.base.spinning import SpinThread

        # A node is part of reference cycles, and until it is collected its DDS participant stays; with more than the 32
        # that discovery on one machine reaches, later graphs would not find each other.
        gc.collect()
        self.namespace = f"/t{next(self._count)}"
        self.context = rclpy.Context()
        rclpy.init(context=self.context)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.nodes = []
        self.bench = rclpy.create_node("bench", namespace=self.namespace, context=self.context)
        self.executor.add_node(self.bench)
        self.spinner = SpinThread(self.executor, "world", traceback.print_exception)

    def make(self, kind, start=True, parameters=(), **kwargs):
        """A node with parameters (a dict), started unless told otherwise."""
        from rclpy.parameter import Parameter

        overrides = [Parameter(name, value=value) for name, value in dict(parameters).items()]
        node = kind(context=self.context, namespace=self.namespace, parameter_overrides=overrides, **kwargs)
        self.nodes.append(node)
        if start:
            assert node.start(), node.failure
        self.executor.add_node(node)
        return node

    def listen(self, kind, topic, qos=10) -> Inbox:
        inbox = Inbox()
        self.bench.create_subscription(kind, topic, inbox, qos)
        return inbox

    def said(self) -> Inbox:
        """What the nodes of this world log, as /rosout carries it: lines of before the call, too. (Captured stderr
        loses what is written while it is read.)"""
        from rcl_interfaces.msg import Log
        from rclpy.qos import QoSDurabilityPolicy, QoSProfile

        inbox, mine = Inbox(), self.namespace.strip("/") + "."
        latched = QoSProfile(depth=1000, durability=QoSDurabilityPolicy.TRANSIENT_LOCAL)
        self.bench.create_subscription(
            Log, "/rosout", lambda log: log.name.startswith(mine) and inbox(log), latched
        )
        return inbox

    def talk(self, kind, topic, qos=10, readers=1):
        """A publisher that has found its readers."""
        publisher = self.bench.create_publisher(kind, topic, qos)
        self.until(lambda: publisher.get_subscription_count() >= readers)
        return publisher

    def until(self, condition, timeout_s=WAIT_S):
        """Wait for a condition that no event announces (discovery); fails the test where it stays false."""
        pause = threading.Event()
        for _ in range(int(timeout_s / 0.01)):
            if condition():
                return
            pause.wait(0.01)
        raise AssertionError(f"condition stayed false for {timeout_s} s")

    def call(self, kind, name, request, timeout_s=WAIT_S):
        client = self.bench.create_client(kind, name)
        assert client.wait_for_service(timeout_s), f"no service {name}"
        done = threading.Event()
        future = client.call_async(request)
        future.add_done_callback(lambda _: done.set())
        assert done.wait(timeout_s), f"service {name} did not answer"
        return future.result()

    def in_executor(self, action):
        """Run an action in the executor's thread, as a lifecycle service would."""
        done = threading.Event()
        outcome = []

        def act():
            try:
                outcome.append(action())
            finally:
                done.set()

        self.executor.create_task(act)
        assert done.wait(WAIT_S)
        return outcome[0]

    def close(self):
        for step in ("stop", "trigger_shutdown"):
            for node in self.nodes:
                self.in_executor(getattr(node, step))
        self.spinner.stop()
        for node in self.nodes:
            node.destroy_node()
        self.bench.destroy_node()
        self.context.try_shutdown()


def put_at_start(client, joints, task, seed):
    """Put the simulated arm at the start pose of that seed's episode, wherever it is, and leave it disarmed. joints: an Inbox of
    joint_states."""
    from jepa_ros.simulation.tasks import make_task

    def still(_, looks=25):
        last = joints.messages[-looks:]
        return len(last) == looks and all(abs(v) < 0.01 for m in last for v in m.velocity)

    start, _ = make_task(task).episode(seed)
    client.arm(False)
    joints.clear()
    joints.wait(still)  # or what brakes it takes it back
    client.put_at_start(task, seed)
    joints.clear()
    joints.wait(lambda m: np.allclose(m.position, start.joints, atol=0.05))


def make_spec():
    from jepa_ros.data.action_spec import ActionSpec
    from jepa_ros.simulation import arm

    joints = len(arm.JOINT_NAMES)
    return ActionSpec(
        arm.JOINT_NAMES,
        (-0.12,) * joints,
        (0.12,) * joints,
        tuple(arm.POSITION_LOWER),
        tuple(arm.POSITION_UPPER),
        std=(0.05,) * joints,
    )


def make_checkpoint(folder, spec=None, seed=0, **model):
    import torch

    from jepa_ros.world_model.checkpoint import save_checkpoint
    from jepa_ros.world_model.model import ModelConfig, WorldModel

    torch.manual_seed(seed)
    config = ModelConfig(**{"latent_dim": 16, "predictor_width": 32, "predictor_depth": 1} | model)
    save_checkpoint(folder, WorldModel(config, spec or make_spec()), {"goal_tolerance": 0.05})
    return str(folder)


def add_heads(folder, seed=0, scale=1.0, **config):
    """Heads of random weights beside the checkpoint in ``folder``. scale: of their objects' features, where they have some:
    random ones hardly differ from look to look."""
    import torch

    from jepa_ros.world_model.checkpoint import load_checkpoint, save_heads
    from jepa_ros.world_model.heads import Heads, HeadsConfig

    torch.manual_seed(seed)
    checkpoint = load_checkpoint(folder)
    small = HeadsConfig(**{"width": 16, "depth": 1, "hypotheses": 4, "horizon": 3} | config)
    model = checkpoint.model
    heads = Heads(small, model.latent_dim, model.context, checkpoint.spec)
    if heads.objects is not None:
        heads.objects.features[-1].weight.data *= scale
    save_heads(checkpoint.path, heads)
    return folder


def stamp(seconds):
    from rclpy.time import Time

    return Time(nanoseconds=int(seconds * 1e9)).to_msg()

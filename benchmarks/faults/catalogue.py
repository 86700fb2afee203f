"""The faults: what is done to the graph, which watchdog is to see it, and how it is mended."""

import signal
import time

import numpy as np
from faults.bench import Bench, limits_of_config
from faults.relay import PASSES, STOPS, Fate
from jepa_ros.msg import ActionPlan
from jepa_ros.srv import LoadCheckpoint

from jepa_ros.errors import JepaError
from jepa_ros.nodes.wire import tensor

WATCHDOGS = limits_of_config()[1]
NONE = ""  # no watchdog: seen at once, or nobody is left to see it
ARM_AND_PLAN = ("image", "joint_states", "plan", "joint_trajectory")
"""What goes between arm and graph, both ways, and what goes to the guard."""


class Fault:
    """name: of the row.  variants: taken in turn.  simulated_time: the graph runs by /clock.
    operator: what somebody has to do beyond taking the cause away; "" where the graph goes on by itself."""

    name = ""
    variants: tuple[str, ...] = ("",)
    simulated_time = False
    operator = ""

    def watchdog(self, variant: str) -> str:
        """The parameter watchdog.* of action_publisher that ends the motion at the latest."""
        return NONE

    def limit(self, variant: str) -> float:
        """Its limit, s."""
        watchdog = self.watchdog(variant)
        return WATCHDOGS[watchdog] if watchdog else 0.0

    def stops(self, variant: str) -> bool:
        """Whether the arm must come to rest; else it goes on, or is held with a reason."""
        return True

    def reasons(self, variant: str) -> set[str]:
        """Any of these must be published; where the arm need not stop and none is given, none need be."""
        raise NotImplementedError

    def strike(self, bench: Bench, variant: str) -> None:
        """Let it happen, and tell the judge when."""
        raise NotImplementedError

    def mend(self, bench: Bench, variant: str) -> None:
        """Take the cause away."""
        raise NotImplementedError


class Killed(Fault):
    """kill -9 of one node, then started again."""

    name = "kill_9_node"
    variants = ("encoder", "world_model", "cost", "planner", "simulator")
    operator = "simulator: disarm and arm, as the arm is not where it was"

    def watchdog(self, variant):
        return {"encoder": "embedding_s", "simulator": "joint_state_s"}.get(variant, "plan_s")

    def reasons(self, variant):
        return {
            "encoder": {"guard EMBEDDING_STALE", "planner NO_IMAGE"},
            "simulator": {"guard JOINT_STATE_STALE", "guard IMAGE_STALE", "guard EMBEDDING_STALE"},
            "planner": {"guard NO_PLAN"},
        }.get(variant, {"guard NO_PLAN", "planner NO_ROLLOUTS"})

    def strike(self, bench, variant):
        bench.judge.strike(time.time())
        bench.bringup.stop_one(variant, signal.SIGKILL)

    def mend(self, bench, variant):
        if variant == "simulator":
            bench.arm(False)
        bench.restart(variant)
        if variant == "simulator":
            bench.arm()


class GuardKilled(Killed):
    """kill -9 of the guard: nobody brakes; the arm rests where its last one-point trajectory ends."""

    name = "kill_9_guard"
    variants = ("action_publisher",)
    operator = "arm: the new guard starts disarmed"

    def watchdog(self, variant):
        return NONE

    def reasons(self, variant):
        return {"planner SAFETY"}

    def mend(self, bench, variant):
        bench.restart(variant)
        bench.arm()


class Stopped(Fault):
    """SIGSTOP of the planner, SIGCONT."""

    name = "sigstop_planner"

    def watchdog(self, variant):
        return "plan_s"

    def reasons(self, variant):
        return {"guard NO_PLAN"}

    def strike(self, bench, variant):
        bench.judge.strike(time.time())
        bench.kill("planner", signal.SIGSTOP)

    def mend(self, bench, variant):
        bench.kill("planner", signal.SIGCONT)


class StreamStops(Fault):
    """A topic falls silent."""

    def __init__(self, name: str, stream: str, watchdog: str, *reasons: str):
        self.name, self._stream, self._watchdog, self._reasons = name, stream, watchdog, set(reasons)

    def watchdog(self, variant):
        return self._watchdog

    def reasons(self, variant):
        return self._reasons

    def strike(self, bench, variant):
        bench.judge.strike(time.time())
        bench.relay.set(STOPS, self._stream)

    def mend(self, bench, variant):
        bench.relay.set(PASSES, self._stream)


class ClockStops(Fault):
    """alone: /clock falls silent, and stamps run ahead of it.  with its world: what is stamped by it, too."""

    name = "clock_stops"
    variants = ("alone", "with its world")
    simulated_time = True

    def watchdog(self, variant):
        return "clock_s"

    def reasons(self, variant):
        return {"guard CLOCK_STOPPED", "guard JOINT_STATE_STALE", "guard IMAGE_STALE"}

    def strike(self, bench, variant):
        bench.judge.strike(time.time())
        bench.relay.set(STOPS, "clock", *(("image", "joint_states") if variant != "alone" else ()))

    def mend(self, bench, variant):
        bench.relay.set(PASSES)


class PlanChanged(Fault):
    """Every plan is spoilt on its way to the guard."""

    def strike(self, bench, variant):
        bench.relay.set(Fate(change=lambda plan: self.change(plan, variant)), "plan")
        at = bench.relay.wait_changed(10.0)
        if at is None:
            raise JepaError("no plan came that could be spoilt")
        bench.judge.strike(at)

    def mend(self, bench, variant):
        bench.relay.set(PASSES, "plan")

    def change(self, plan: ActionPlan, variant: str) -> ActionPlan:
        """The spoilt plan."""
        raise NotImplementedError


class NanPlan(PlanChanged):
    """One number of the actions is NaN."""

    name = "nan_plan"

    def reasons(self, variant):
        return {"guard NOT_FINITE"}

    def change(self, plan, variant):
        actions = tensor.from_msg(plan.actions).copy()
        actions[plan.execute // 2, 1] = np.nan
        plan.actions = tensor.to_msg("actions", actions)
        return plan


class SwappedJoints(PlanChanged):
    """exchanged: two joints under each other's name, which no check of a message can see.
    twice: one name on two joints.  foreign: another arm's name."""

    name = "swapped_joints_plan"
    variants = ("exchanged", "twice", "foreign")

    def stops(self, variant):
        return variant != "exchanged"

    def reasons(self, variant):
        return set() if variant == "exchanged" else {"guard WRONG_JOINTS"}

    def change(self, plan, variant):
        names = list(plan.joint_names)
        if variant == "exchanged":
            names[0], names[2] = names[2], names[0]
        else:
            names[0] = names[2] if variant == "twice" else "wrist_3_joint"
        plan.joint_names = names
        return plan


class Degraded(Fault):
    """Every message between arm and graph is late, or may be lost."""

    def __init__(self, name: str, fate: Fate):
        self.name, self._fate = name, fate

    def stops(self, variant):
        return False

    def reasons(self, variant):
        return set()

    def strike(self, bench, variant):
        bench.judge.strike(time.time())
        bench.relay.set(self._fate, *ARM_AND_PLAN)

    def mend(self, bench, variant):
        bench.relay.set(PASSES, *ARM_AND_PLAN)


class Reconfigured(Fault):
    """A node is told to start anew with something wrong, and cannot."""

    def watchdog(self, variant):
        return "embedding_s" if variant.startswith("encoder") else "plan_s"

    def reasons(self, variant):
        return {f"diagnostics {self.node(variant)}"}

    def node(self, variant: str) -> str:
        """Which is started anew."""
        return variant.split()[0]

    def strike(self, bench, variant):
        node, states = self.node(variant), bench.states
        bench.judge.strike(time.time())
        states.change(node, "deactivate")
        states.change(node, "cleanup")
        try:
            states.change(node, "configure")
        except JepaError as error:
            bench.judge.note("answer to configure", str(error), time.time())

    def mend(self, bench, variant):
        for transition in ("configure", "activate"):
            bench.states.change(self.node(variant), transition)


class ModelVanishes(Reconfigured):
    """The weights' file is gone. Who has read it goes on; load_checkpoint is refused; who reads it anew fails."""

    name = "model_file_vanishes"
    variants = ("world_model", "encoder")
    _FILE, _GONE = "model.safetensors", "gone"

    def strike(self, bench, variant):
        (bench.checkpoint / self._FILE).rename(bench.checkpoint / self._GONE)
        if variant == "world_model":
            request = LoadCheckpoint.Request(path=str(bench.checkpoint))
            if bench.client.call(LoadCheckpoint, "world_model/load_checkpoint", request).success:
                raise JepaError("load_checkpoint read a file that is gone")
        super().strike(bench, variant)

    def mend(self, bench, variant):
        (bench.checkpoint / self._GONE).rename(bench.checkpoint / self._FILE)
        super().mend(bench, variant)


class NonsenseParameter(Reconfigured):
    """Refused at once, and the arm goes on; or taken, and found out when the node is configured."""

    name = "nonsense_parameter"
    _REFUSED = {
        "action_publisher limits.velocity -1": [-1.0] * 6,
        "action_publisher watchdog.plan_s 500 while RUNNING": 500.0,
        "planner samples -5": -5,
        "planner deadline_s of text": "soon",
    }
    _TAKEN = {"encoder device tpu9": ("tpu9", "cpu"), "world_model checkpoint /nowhere": ("/nowhere", None)}
    variants = (*_REFUSED, *_TAKEN)

    def stops(self, variant):
        return variant in self._TAKEN

    def watchdog(self, variant):
        return super().watchdog(variant) if self.stops(variant) else NONE

    def reasons(self, variant):
        return super().reasons(variant) if self.stops(variant) else {"answer to set_parameters"}

    def strike(self, bench, variant):
        node, name = variant.split()[:2]
        if self.stops(variant):
            bench.client.set_parameters(node, **{name: self._TAKEN[variant][0]})
            super().strike(bench, variant)
            return
        bench.judge.strike(time.time())
        try:
            bench.client.set_parameters(node, **{name: self._REFUSED[variant]})
        except JepaError as error:
            bench.judge.note("answer to set_parameters", str(error), time.time())

    def mend(self, bench, variant):
        if self.stops(variant):
            node, name = variant.split()[:2]
            bench.client.set_parameters(node, **{name: self._TAKEN[variant][1] or str(bench.checkpoint)})
            super().mend(bench, variant)


FAULTS: tuple[Fault, ...] = (
    Killed(),
    GuardKilled(),
    Stopped(),
    StreamStops("image_stops", "image", "image_s", "guard IMAGE_STALE", "guard EMBEDDING_STALE"),
    StreamStops("joint_states_stop", "joint_states", "joint_state_s", "guard JOINT_STATE_STALE"),
    ClockStops(),
    NanPlan(),
    SwappedJoints(),
    Degraded("delay_200ms", Fate(delay=0.2)),
    Degraded("loss_30_percent", Fate(loss=0.3)),
    ModelVanishes(),
    NonsenseParameter(),
)

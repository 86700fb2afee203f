"""The simulator itself as world model: perfect dynamics, true joint distance.

Not a competitor but a check of the planner: settings that fail here fail with every learned model.
"""

import numpy as np

from jepa_ros.data.action_spec import ActionSpec
from jepa_ros.errors import JepaError
from jepa_ros.evaluation.agents import Agent
from jepa_ros.evaluation.closed_loop import Timing
from jepa_ros.evaluation.simulated_arm import SETPOINT_TICKS, TICK_S
from jepa_ros.planning.config import PlannerConfig
from jepa_ros.planning.receding_horizon import Planner
from jepa_ros.safety.limiter import SetpointLimiter
from jepa_ros.safety.limits import JointLimits
from jepa_ros.simulation import arm
from jepa_ros.simulation.engine import mujoco
from jepa_ros.simulation.simulator import Simulator
from jepa_ros.simulation.tasks import Goal

CUBE_SCALE_M = 0.1
_FULL = mujoco.mjtState.mjSTATE_FULLPHYSICS


class OracleAgent(Agent):
    """Plans with the same planner and settings as a learned model, at every look, but rolls every candidate out in the
    simulator's own physics, from its true state.

    The cost at every look is the root mean square distance to the goal's joints, rad, and for a scene with
    a cube its distance from the goal's cube in units of CUBE_SCALE_M; the planner's space says how it is
    reduced.
    """

    def __init__(self, spec: ActionSpec, config: PlannerConfig, timing: Timing):
        super().__init__(spec)
        if config.mode == "policy" or config.refine_steps:
            raise JepaError(
                "the oracle has no policy and no gradients: set mode to search, and refine_steps to 0"
            )
        self.planner = Planner(spec, config)
        self.imagination: Imagination | None = None
        self._timing = timing

    def observe_truth(self, arm, goal):
        if self.imagination is None or self.imagination.simulator is not arm.simulator:
            self.imagination = Imagination(arm.simulator, self.spec, self._timing)
        self._arm, self._goal = arm, goal

    def reset(self, goal_image, seed):
        self.planner.reset(seed)

    def decide(self, image, proprio):
        self._base = self._arm.base()
        solution = self.planner.plan(self._costs, proprio)
        self.candidates, self.made_by = solution.evaluations, solution.made_by
        return solution.actions[0].reshape(self.spec.block, self.spec.dim)

    def _costs(self, actions: np.ndarray) -> np.ndarray:
        """actions (S, H, KA) rad -> costs (S,)."""
        distance = true_distance(*self.imagination.rollout(actions, self._base), self._goal)
        return {"sum": distance.sum, "min": distance.min, "last": lambda axis: distance[:, -1]}[
            self.planner.reduction
        ](axis=1)


def true_distance(joints: np.ndarray, cubes: np.ndarray | None, goal: Goal) -> np.ndarray:
    """joints (S, H, A) rad, cubes (S, H, 3) m or None -> (S, H)."""
    distance = np.sqrt(np.mean((joints - goal.joints) ** 2, axis=-1))
    return distance if cubes is None else distance + np.linalg.norm(cubes - goal.cube, axis=-1) / CUBE_SCALE_M


class Imagination:
    """Batches of futures of one simulator, by ``mujoco.rollout``, with the closed loop's own timing."""

    def __init__(self, simulator: Simulator, spec: ActionSpec, timing: Timing):
        self.simulator, self.spec = simulator, spec
        self._data = mujoco.MjData(simulator.model)
        self._wait, self._move, self._settle = (
            round(s / TICK_S) for s in (timing.latency_s, spec.block * spec.dt, timing.settle_s)
        )
        self._substeps = round(TICK_S / simulator.model.opt.timestep)

    def rollout(self, actions: np.ndarray, base: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """What the next H looks would see: joints (S, H, A) rad, and cubes (S, H, 3) m or None.

        actions: (S, H, KA) rad.  base: (A,) rad, where the first action is chained from. The arm is at a
        look: it holds. The guard is imagined without the holds that a future contact might cause, and without the
        time that it gives an arm that lags.
        """
        from mujoco import rollout

        model, horizon, dim = self.simulator.model, actions.shape[1], self.spec.dim
        mujoco.mj_setState(
            model, self._data, self.simulator.get_state()["physics"], mujoco.mjtState.mjSTATE_INTEGRATION
        )
        start = np.empty(mujoco.mj_stateSize(model, _FULL))
        mujoco.mj_getState(model, self._data, start, _FULL)
        controls = self._controls(actions, base)
        states, _ = rollout.rollout(
            model, self._data, start[None], controls, initial_warmstart=self._data.qacc_warmstart[None].copy()
        )
        steps = controls.shape[1] // horizon
        positions = states[:, steps - 1 :: steps, 1 : 1 + model.nq]  # time comes first, then qpos
        return positions[..., :dim], positions[..., dim : dim + 3] if model.nq > dim else None

    def _controls(self, actions: np.ndarray, base: np.ndarray) -> np.ndarray:
        """Servo targets (S, physics steps, A): what trajectory followers make of the guard's setpoints for S plans
        of H blocks."""
        spec, samples = self.spec, len(actions)
        limiter = SetpointLimiter(
            JointLimits.from_spec(spec, arm.VELOCITY, arm.ACCELERATION),
            SETPOINT_TICKS * TICK_S,
            np.repeat(base[None], samples, axis=0),
        )
        held = np.repeat(self.simulator.target[None], samples, axis=0)  # (S, A)
        ticks = [held] * self._wait
        for block in actions.reshape(samples, -1, spec.block, spec.dim).swapaxes(0, 1):
            limiter.follow(self._targets(limiter.position, block.swapaxes(0, 1)), spec.dt)
            for tick in range(self._move + self._settle + self._wait):
                part = tick % SETPOINT_TICKS / SETPOINT_TICKS
                if part == 0:
                    held = limiter.position if tick else held
                    limiter.step(limiter.period)
                ticks.append(held + part * (limiter.position - held))
            held = limiter.position
        controls = np.array(ticks[: len(ticks) - self._wait])
        return np.repeat(controls, self._substeps, axis=0).swapaxes(0, 1)

    def _targets(self, base: np.ndarray, actions: np.ndarray) -> np.ndarray:
        """base (S, A), raw deltas (K, S, A) -> absolute targets (K, S, A), as the action guard makes them."""
        targets = np.empty_like(actions)
        for step, action in enumerate(actions):
            base = np.clip(base + action, self.spec.position_lower, self.spec.position_upper)
            targets[step] = base
        return targets

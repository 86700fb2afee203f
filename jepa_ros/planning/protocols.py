"""The seams of the planner: what it asks for costs, and how an evaluator says that none came in time."""

from collections.abc import Callable
from typing import Protocol

import numpy as np

from jepa_ros.data.action_spec import ActionSpec
from jepa_ros.errors import JepaError
from jepa_ros.planning.memory import Context

REDUCTIONS = ("sum", "min", "last")


class Evaluator(Protocol):
    """Scores candidate action sequences; served in-process or by the ROS graph.

    A callable, called once per solver iteration. The same actions must give the same costs within one plan.
    """

    def __call__(self, actions: np.ndarray) -> np.ndarray:
        """actions: (S, H, KA) physical units. Returns costs (S,), lower is better; NaN or Inf marks a
        candidate as unusable. Raises EvaluationTimeout where no costs came in time."""
        ...


class Imagination(Evaluator, Protocol):
    """An evaluator that tells more: the energy along a plan, what the modes in which a policy proposes need, gradients."""

    def steps(self, at: tuple[int, int]) -> list[float]:
        """Energies after every block of the candidate ``at`` (call, index), before they are reduced along the horizon."""
        ...

    def ends(self) -> np.ndarray:
        """(S,) energies that the candidates of the last call have after their last block."""
        ...

    def refine(
        self, actions: np.ndarray, spec: ActionSpec, steps: int, rate: float, is_late: Callable[[], bool]
    ) -> np.ndarray:
        """actions (S, H, KA) -> the same after so many steps down the energy's gradient, within the bounds of ``spec``.

        rate: of a step, a fraction of half the bounds' range.  is_late: whether to end with what there is."""
        ...


class Propose(Protocol):
    """A goal-conditioned policy, the fast system."""

    def __call__(self, context: Context, goal: np.ndarray) -> tuple[np.ndarray, bool]:
        """What it would do from a context towards a goal latent (D,): (N, H', KA) float32 rad, N >= 0 hypotheses, most
        of H' blocks ahead; and whether that is to bring things to where the goal has them ("things first"). The same for
        the same inputs. Raises EvaluationTimeout where none came in time."""
        ...


class Foresee(Protocol):
    """The slow level of a world model."""

    def __call__(
        self, context: Context, goal: np.ndarray, macros: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Where macro-actions (S, M, U) float32 lead from a context's newest latent: the latent after the first of them
        (S, D), and the blocks to go to a goal latent (D,), before the first and after every one (S, M + 1). Raises
        EvaluationTimeout where nothing came in time."""
        ...


class EvaluationTimeout(JepaError):
    """No costs in time. A solver that has costs of an earlier iteration answers with the best of those."""

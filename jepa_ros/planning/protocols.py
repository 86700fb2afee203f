"""The seams of the planner: what it asks for costs, and how an evaluator says that none came in time."""

from typing import Protocol

import numpy as np

from jepa_ros.errors import JepaError

REDUCTIONS = ("sum", "min", "last")


class Evaluator(Protocol):
    """Scores candidate action sequences; served in-process or by the ROS graph.

    A callable, called once per solver iteration. The same actions must give the same costs within one plan.
    """

    def __call__(self, actions: np.ndarray) -> np.ndarray:
        """actions: (S, H, KA) physical units. Returns costs (S,), lower is better; NaN or Inf marks a
        candidate as unusable. Raises EvaluationTimeout where no costs came in time."""
        ...


class EvaluationTimeout(JepaError):
    """No costs in time. A solver that has costs of an earlier iteration answers with the best of those."""

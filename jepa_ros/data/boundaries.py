"""Where episodes begin inside one recording: at goals, at markers. Gaps in the data always end one."""

from collections.abc import Collection, Sequence

import numpy as np

from jepa_ros.errors import JepaError

KINDS = ("gaps", "goals", "markers")


def episode_cuts(
    boundaries: Collection[str],
    *,
    goal_logs: Sequence[int] = (),
    goal_ids: Sequence[str] = (),
    marker_logs: Sequence[int] = (),
) -> np.ndarray:
    """(c,) int64 ns, ascending log times at which an episode begins, for `resample(..., cuts=)`.

    boundaries: any of KINDS; "gaps" adds nothing, since missing data cuts in any case.
    goal_logs, goal_ids: one of each per goal message, a sub-goal with the id of its goal; one with the id of the last does
    not cut.  marker_logs: one per marker message, whatever it says.
    """
    require_known(boundaries)
    cuts = []
    if "goals" in boundaries:
        order = np.argsort(np.asarray(goal_logs, np.int64), kind="stable")
        ids = [goal_ids[i] for i in order]
        cuts += [goal_logs[i] for n, i in enumerate(order) if n == 0 or ids[n] != ids[n - 1]]
    if "markers" in boundaries:
        cuts += list(marker_logs)
    return np.unique(np.asarray(cuts, np.int64))


def require_known(boundaries: Collection[str]) -> None:
    """Raise JepaError where `boundaries` is empty or names an unknown kind."""
    unknown = sorted(set(boundaries) - set(KINDS))
    if unknown or not boundaries:
        raise JepaError(f"episode boundaries {unknown or 'missing'}: choose among {', '.join(KINDS)}")

"""The reach_goal action, executed in the planner's thread instead of an executor thread."""

from rclpy.action import ActionServer, CancelResponse, GoalResponse

from jepa_ros.action import ReachGoal

_RESULT_TIMEOUT_S = 60
"""How long a client can ask for the result of an ended goal; the goal's image is kept as long (900 s by rclpy)."""


class ReachGoalServer(ActionServer):
    """An action server whose goals are executed elsewhere: ``on_goal(handle)`` is told of an accepted goal,
    which is executing from then on, and whoever executes it calls ``conclude``. No executor thread is blocked
    meanwhile.

    accepts: () -> bool, whether goals are taken now.  on_cancel: (handle), a client wants that goal canceled.
    """

    def __init__(self, node, accepts, on_goal, on_cancel):
        self._on_goal = on_goal

        def cancel(handle):
            on_cancel(handle)
            return CancelResponse.ACCEPT

        super().__init__(
            node,
            ReachGoal,
            "reach_goal",
            execute_callback=lambda handle: ReachGoal.Result(),
            goal_callback=lambda _: GoalResponse.ACCEPT if accepts() else GoalResponse.REJECT,
            cancel_callback=cancel,
            result_timeout=_RESULT_TIMEOUT_S,
        )

    def notify_execute(self, goal_handle, execute_callback):
        """Called by ``handle.execute()``: hand the goal over instead of running the callback in the
        executor."""
        self._on_goal(goal_handle)

    def conclude(self, handle, result: ReachGoal.Result) -> None:
        """End a goal with its result; from any thread. The executor's thread sets the state and answers the
        client."""

        def end(handle):
            if result.termination_reason == ReachGoal.Result.REACHED:
                handle.succeed()
            elif handle.is_cancel_requested:
                handle.canceled()
            else:
                handle.abort()
            return result

        super().notify_execute(handle, end)

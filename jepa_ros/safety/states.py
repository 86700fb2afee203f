"""States of the action guard and their reasons; the constants of SafetyStatus.msg mirror these values."""

from enum import IntEnum


class SafetyState(IntEnum):
    """What the guard does with the arm.

    IDLE: disarmed; plans are refused and nothing is sent.
    ARMED: ready for the first plan; the arm is held.
    RUNNING: executing an accepted plan.
    HOLDING: a watchdog, a hold or a veto stopped the motion; the arm is held. A good plan resumes, after ~/hold or too
        many vetoes only once armed again.
    ESTOPPED: latched; only a reset leaves it, and it leaves to IDLE.
    """

    IDLE = 0
    ARMED = 1
    RUNNING = 2
    HOLDING = 3
    ESTOPPED = 4


class Reason(IntEnum):
    """Why the guard is in its state, or why a plan was vetoed.

    NO_PLAN: none was accepted within watchdog.plan_s.  PLAN_STALE: too old by its stamp.
    PLAN_INVALID: shape or timing contradicts the robot's.  WRONG_JOINTS: unknown, missing or duplicate names.
    NOT_FINITE: NaN or Inf.  OUT_OF_ORDER: its stamp is not newer than the last accepted plan's.
    FOREIGN_MODEL: not from the pinned model.  JOINT_STATE_STALE: no fresh measured joint positions.
    WRONG_SPACE: not in this robot's action space.  EMPTY: no action.  NOT_ARMED: the guard is IDLE.
    FUTURE_STAMP, NON_MONOTONIC: of a plan.  IMAGE_STALE, EMBEDDING_STALE, CLOCK_STOPPED: watchdogs.
    TRACKING_ERROR: the arm does not follow.  WORKSPACE: the end effector would leave its box.
    DEADMAN: not held.  TOO_MANY_VETOES: in a row; arming goes on.
    """

    NONE = 0
    NO_PLAN = 1
    PLAN_STALE = 2
    PLAN_INVALID = 3
    WRONG_JOINTS = 4
    NOT_FINITE = 5
    OUT_OF_ORDER = 6
    FOREIGN_MODEL = 7
    JOINT_STATE_STALE = 8
    CANCELED = 9
    ESTOP = 10
    SHUTDOWN = 11
    WRONG_SPACE = 12
    EMPTY = 13
    NOT_ARMED = 14
    FUTURE_STAMP = 15
    NON_MONOTONIC = 16
    IMAGE_STALE = 17
    EMBEDDING_STALE = 18
    CLOCK_STOPPED = 19
    TRACKING_ERROR = 20
    WORKSPACE = 21
    DEADMAN = 22
    TOO_MANY_VETOES = 23

"""What an episode looks like: a shift, its strength, and which goal pictures go with it."""

from dataclasses import dataclass

STRENGTHS = ("weak", "medium", "strong")
GOALS = ("shifted", "clean")
"""Goal pictures of the shifted scene, as the live view; or of the clean one."""


@dataclass(frozen=True)
class Condition:
    """Travels to worker processes. shift: a name in suite.SHIFTS."""

    shift: str
    strength: str
    goals: str = GOALS[0]

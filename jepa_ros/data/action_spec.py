"""The contract between data, model and robot: what one action means.

Actions are deltas on the commanded joint target: ``target[t + 1] = clip(target[t] + action[t])``, one every
``1 / rate_hz`` seconds. A model plans in blocks of ``K`` raw actions, flattened time-major to ``(K * A,)``.
"""

from dataclasses import asdict, dataclass, fields, replace

import numpy as np

from jepa_ros.errors import JepaError

SPACES = ("joint_delta",)


@dataclass(frozen=True)
class ActionSpec:
    """What an action is. ``A`` is the number of joints, ``K`` the raw actions per block.

    joint_names: (A) names, in the order of every action and proprioception vector.
    lower, upper: (A) bounds of one raw action, in ``unit``.
    position_lower, position_upper: (A) joint position limits, in ``unit``.
    mean, std: (A) statistics of raw actions in the training data; the model sees z-scores.
    rate_hz: raw actions per second.  block: K.
    """

    joint_names: tuple[str, ...]
    lower: tuple[float, ...]
    upper: tuple[float, ...]
    position_lower: tuple[float, ...]
    position_upper: tuple[float, ...]
    rate_hz: float = 10.0
    block: int = 4
    space: str = "joint_delta"
    unit: str = "rad"
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()

    def __post_init__(self):
        for field in ("lower", "upper", "position_lower", "position_upper", "mean", "std"):
            object.__setattr__(self, field, tuple(float(v) for v in getattr(self, field)))
        object.__setattr__(self, "joint_names", tuple(str(n) for n in self.joint_names))
        if not self.mean:
            object.__setattr__(self, "mean", (0.0,) * self.dim)
        if not self.std:
            object.__setattr__(self, "std", (1.0,) * self.dim)
        self.validate()

    @property
    def dim(self) -> int:
        """A, the number of joints."""
        return len(self.joint_names)

    @property
    def block_dim(self) -> int:
        """K * A, the width of one flattened block."""
        return self.block * self.dim

    @property
    def dt(self) -> float:
        """Seconds between two raw actions."""
        return 1.0 / self.rate_hz

    def validate(self) -> None:
        """Raise JepaError where the fields contradict each other."""

        def need(ok: bool, what: str):
            if not ok:
                raise JepaError(f"ActionSpec: {what}")

        need(self.dim > 0, "joint_names is empty; name at least one joint")
        need(len(set(self.joint_names)) == self.dim, f"joint_names has duplicates: {list(self.joint_names)}")
        need(self.space in SPACES, f"space is {self.space!r}; known spaces: {', '.join(SPACES)}")
        need(
            self.rate_hz > 0 and np.isfinite(self.rate_hz), f"rate_hz is {self.rate_hz}; it must be positive"
        )
        need(self.block >= 1, f"block is {self.block}; it must be at least 1")
        for name in ("lower", "upper", "position_lower", "position_upper", "mean", "std"):
            values = getattr(self, name)
            need(len(values) == self.dim, f"{name} has {len(values)} values for {self.dim} joints")
            need(bool(np.all(np.isfinite(values))), f"{name} holds NaN or Inf: {values}")
        need(bool(np.all(np.less(self.lower, self.upper))), "every lower bound must be below its upper bound")
        need(
            bool(np.all(np.less(self.position_lower, self.position_upper))),
            "every position_lower must be below its position_upper",
        )
        need(bool(np.all(np.greater(self.std, 0))), f"std must be positive, got {self.std}")

    def with_statistics(self, mean, std) -> "ActionSpec":
        """The same contract with the data's raw-action statistics, each (A,)."""
        return replace(self, mean=tuple(map(float, mean)), std=tuple(map(float, std)))

    def slowed(self, share: float) -> "ActionSpec":
        """The same contract with this share of the action bounds; itself for 1."""
        if share == 1:
            return self
        bounds = (tuple(share * v for v in bound) for bound in (self.lower, self.upper))
        return replace(self, **dict(zip(("lower", "upper"), bounds, strict=True)))

    def to_dict(self) -> dict:
        """A JSON-serialisable dict."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: dict) -> "ActionSpec":
        """The inverse of to_dict; names missing and unknown keys."""
        known = {f.name for f in fields(cls)}
        required = {"joint_names", "lower", "upper", "position_lower", "position_upper"}
        if not isinstance(values, dict) or required - set(values) or set(values) - known:
            got = set(values) if isinstance(values, dict) else set()
            raise JepaError(
                f"ActionSpec: missing keys {sorted(required - got)}, unknown keys {sorted(got - known)}"
            )
        return cls(**values)

    def differences(self, other: "ActionSpec") -> list[str]:
        """Names of the contract's fields that differ (statistics are not part of the contract)."""
        return [
            f.name
            for f in fields(self)
            if f.name not in ("mean", "std") and not _same(getattr(self, f.name), getattr(other, f.name))
        ]

    def require_match(self, other: "ActionSpec", ours: str, theirs: str) -> None:
        """Raise JepaError with both sides printed where the contracts differ.

        ours, theirs: what each side is, for the message ("checkpoint models/reach", "robot so101").
        """
        differing = self.differences(other)
        if differing:
            lines = [
                f"  {name}:\n    {ours}: {getattr(self, name)}\n    {theirs}: {getattr(other, name)}"
                for name in differing
            ]
            raise JepaError(
                f"ActionSpec of {ours} does not match {theirs}:\n"
                + "\n".join(lines)
                + "\nUse a checkpoint trained for this robot, or correct the robot's configuration."
            )


def _same(a, b) -> bool:
    if isinstance(a, str) or (isinstance(a, tuple) and a and isinstance(a[0], str)):
        return a == b
    return np.shape(a) == np.shape(b) and bool(np.allclose(a, b, rtol=0, atol=1e-6))

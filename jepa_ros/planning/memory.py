"""Short-term memory: the last frames and executed blocks, kept where rollouts start."""

from collections import deque
from dataclasses import dataclass

import numpy as np

from jepa_ros.data.action_spec import ActionSpec
from jepa_ros.errors import JepaError

DEFAULT_GAP_S = 2.0
"""s between two looks after which a live planner's memory starts anew."""


@dataclass(frozen=True)
class Context:
    """What a rollout starts from, oldest first, float32.

    latents: (T, D).  proprio: (T, A) rad.  actions: (T - 1, KA), actions[i] was executed from frame i to
        frame i + 1.
    real: how many of the T frames were seen; the others, at the start, repeat the first one without motion.
    stamp: seconds, of the newest frame.
    """

    latents: np.ndarray
    proprio: np.ndarray
    actions: np.ndarray
    real: int
    stamp: float


class ShortTermMemory:
    """Keeps the last T frames, one per executed block.

    Call ``push`` for the frame a plan starts from and ``record_action`` for the block that is executed from
    there; a ``push`` with no block since the last one means that the arm was held. A frame with the stamp of
    the newest one replaces it, so that a replan from the same image does not count as the passing of time.
    """

    def __init__(self, spec: ActionSpec, context: int, max_gap_s: float | None = None):
        """context: T.  max_gap_s: a frame this much newer than the last one starts the memory anew: the
        blocks between are unknown."""
        if context < 1:
            raise JepaError(f"short-term memory: context is {context}; it must hold at least 1 frame")
        self.spec, self.size, self.max_gap_s = spec, context, max_gap_s
        self.reset()

    def reset(self) -> None:
        """Forget everything; for a new episode, or when the clock was set back."""
        self._frames: deque = deque(maxlen=self.size)  # (latent, proprio, stamp)
        self._blocks: deque = deque(maxlen=self.size)  # the block executed from the frame of the same place

    def __len__(self) -> int:
        """Frames seen, at most T."""
        return len(self._frames)

    @property
    def ready(self) -> bool:
        """Whether there is a frame to roll out from."""
        return bool(self._frames)

    def push(self, latent: np.ndarray, proprio: np.ndarray, stamp: float) -> bool:
        """Add the newest frame: latent (D,), proprio (A,) rad, stamp s of its image. Whether it goes on from the
        frame before."""
        latent = np.array(latent, dtype=np.float32)
        proprio = np.array(proprio, dtype=np.float32)
        width = self._frames[-1][0].shape if self._frames else latent.shape
        if latent.ndim != 1 or latent.shape != width or not np.all(np.isfinite(latent)):
            raise JepaError(
                f"short-term memory: a latent must be finite, of one axis and as wide as those "
                f"before {width}, got shape {latent.shape}"
            )
        if proprio.shape != (self.spec.dim,) or not np.all(np.isfinite(proprio)):
            raise JepaError(
                f"short-term memory: joint positions must be {self.spec.dim} finite numbers, got {proprio}"
            )
        if self._frames:
            newest = self._frames[-1][2]
            if stamp == newest:
                self._frames[-1] = (latent, proprio, stamp)
                return False
            if not stamp > newest:
                raise JepaError(
                    f"short-term memory: a frame stamped {stamp} s came after one of {newest} s; "
                    "reset the memory where the clock was set back"
                )
            if self.max_gap_s is not None and stamp - newest > self.max_gap_s:
                self.reset()
        goes_on = bool(self._frames)
        self._frames.append((latent, proprio, stamp))
        self._blocks.append(np.zeros(self.spec.block_dim, dtype=np.float32))
        return goes_on

    def record_action(self, block: np.ndarray) -> None:
        """Note the block (KA,) that is executed from the newest frame on; the last word counts."""
        block = np.array(block, dtype=np.float32).reshape(-1)
        if not self._frames:
            raise JepaError("short-term memory: a block needs a frame before it; push one first")
        if block.shape != (self.spec.block_dim,) or not np.all(np.isfinite(block)):
            raise JepaError(
                f"short-term memory: a block must be {self.spec.block_dim} finite numbers, got "
                f"shape {block.shape}"
            )
        self._blocks[-1] = block

    def context(self) -> Context:
        """The last T frames, padded at the start; JepaError where there is none yet."""
        if not self._frames:
            raise JepaError("short-term memory: it is empty; push a frame first")
        real = len(self._frames)
        frames = [self._frames[0]] * (self.size - real) + list(self._frames)
        still = np.zeros(self.spec.block_dim, dtype=np.float32)
        blocks = [still] * (self.size - real) + list(self._blocks)[:-1]
        return Context(
            np.stack([f[0] for f in frames]),
            np.stack([f[1] for f in frames]),
            np.array(blocks, dtype=np.float32).reshape(self.size - 1, self.spec.block_dim),
            real,
            float(frames[-1][2]),
        )

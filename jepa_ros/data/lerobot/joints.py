"""Joint positions and targets of a LeRobot dataset, by our names and in rad."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from jepa_ros.data.action_spec import ActionSpec
from jepa_ros.data.lerobot import layout
from jepa_ros.data.lerobot.dataset_reader import DatasetReader, LeRobotEpisode
from jepa_ros.errors import JepaError


@dataclass(frozen=True)
class Motion:
    """An episode of L frames.

    times: (L,) s from its start.  states: (L, A) rad, measured.
    following: (L, A) rad, the target that holds one frame later.
    first_target: (A,) rad, the target at the first frame; None where it is not known.
    """

    times: np.ndarray
    states: np.ndarray
    following: np.ndarray
    first_target: np.ndarray | None


@dataclass(frozen=True)
class DatasetJoints:
    """Which components of state and action the joints are.

    names: (A) of ours, in the order of `action`.  state: (A) places in `observation.state`.
    scale: what turns the dataset's unit into rad.  columns: that are to be read for them.
    """

    names: tuple[str, ...]
    state: tuple[int, ...]
    scale: float
    columns: tuple[str, ...]

    @classmethod
    def find(cls, reader: DatasetReader, names: Sequence[str] | None, degrees: bool) -> DatasetJoints:
        """By name where both vectors have them, else by place."""
        state, action = reader.names(layout.STATE), reader.names(layout.ACTION)
        if names is not None and len(names) != len(action):
            raise JepaError(f"{reader.root}: {len(names)} joint names given for its {len(action)}: {action}")
        if set(action) <= set(state):
            places = [state.index(name) for name in action]
        elif len(action) == len(state):
            places = range(len(action))
        else:
            raise JepaError(
                f"{reader.root}: {layout.STATE} has {state}, {layout.ACTION} has {action}; targets for "
                "the joints of the state are needed"
            )
        own = (layout.TARGET,) if layout.TARGET in reader.features else ()
        return cls(
            tuple(names or map(plain_name, action)),
            tuple(places),
            np.pi / 180 if degrees else 1.0,
            (layout.STATE, layout.ACTION, *own),
        )

    def order(self, spec: ActionSpec) -> list[int]:
        """Places of the spec's joints among ours."""
        missing = [name for name in spec.joint_names if name not in self.names]
        if missing:
            raise JepaError(
                f"the ActionSpec's joints {missing} are not among the dataset's {list(self.names)}; name the "
                "dataset's, in its order, with --joint-names"
            )
        return [self.names.index(name) for name in spec.joint_names]

    def motion(self, episode: LeRobotEpisode, order: Sequence[int], fps: float) -> Motion:
        """The episode's motion, of the joints in `order`."""
        order = list(order)
        states = self._vectors(episode, layout.STATE)[:, list(self.state)][:, order]
        following = self._vectors(episode, layout.ACTION)[:, order]
        first = None
        if layout.TARGET in self.columns:
            targets = self._vectors(episode, layout.TARGET)[:, order]
            first, following = targets[0], np.concatenate([targets[1:], following[-1:]])
        return Motion(_times(episode, fps), states, following, first)

    def _vectors(self, episode: LeRobotEpisode, column: str) -> np.ndarray:
        values = np.asarray(episode.columns[column], np.float64)
        return values.reshape(len(values), -1) * self.scale


def plain_name(name: str) -> str:
    """A joint's name without what LeRobot's robots put around it: "main_shoulder_pan", "shoulder_pan.pos"."""
    return name.removesuffix(".pos").removeprefix("main_")


def _times(episode: LeRobotEpisode, fps: float) -> np.ndarray:
    """(L,) s from the start: the grid that the float32 timestamps are on, else the timestamps."""
    grid = episode.columns["frame_index"] / fps
    stamps = np.asarray(episode.columns["timestamp"], np.float64)
    even = np.allclose(stamps - stamps[0], grid - grid[0], atol=1e-3)
    return grid - grid[0] if even else stamps - stamps[0]

"""Where the end effector was, by chaining recorded tf transforms from base to tip."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from transforms3d.quaternions import quat2mat

from jepa_ros.errors import JepaError

Transform = tuple[int, str, str, tuple[float, float, float], tuple[float, float, float, float], bool]
"""(stamp in ns, parent frame, child frame, translation x y z in m, quaternion x y z w, from /tf_static)."""

_LARGEST = 1e6  # m; no frame is farther away


@dataclass
class _Link:
    """A child frame in its parent. stamps: ascending ns, none if static.  poses: x y z, qw qx qy qz."""

    parent: str
    stamps: list[int] = field(default_factory=list)
    poses: list[tuple[float, ...]] = field(default_factory=list)


def end_effector(transforms: Iterable[Transform], base: str, tip: str) -> tuple[np.ndarray, np.ndarray]:
    """(stamps (n,) int64 ns, positions (n, 3) m) of the origin of frame `tip`, seen from frame `base`.

    transforms: in the order of recording. A position for every stamp of a moving link between the two frames
    at which all of them are known; the others are interpolated, as tf2 does. Where a clock went back, what
    came later counts. JepaError names the frames there are.
    """
    links = _links(transforms)
    base, tip = base.strip("/"), tip.strip("/")
    up, down = _ancestors(links, tip), _ancestors(links, base)
    shared = next((frame for frame in up if frame in down), None)
    if shared is None:
        raise JepaError(
            f"tf does not lead from {base!r} to {tip!r}; frames there are: {_tree(links) or 'none'}. "
            "Correct base_frame and tip_frame, or record /tf and /tf_static from their start"
        )
    chains = [[links[f] for f in path[: path.index(shared)]] for path in (up, down)]
    moving = [link for link in (*chains[0], *chains[1]) if link.stamps]
    stamps = np.unique(np.concatenate([link.stamps for link in moving] or [[0]]).astype(np.int64))
    if moving:
        first, last = max(link.stamps[0] for link in moving), min(link.stamps[-1] for link in moving)
        stamps = stamps[(stamps >= first) & (stamps <= last)]
    if not stamps.size:
        raise JepaError(
            f"tf never knows {tip!r} and {base!r} at the same time; check the clocks of its publishers"
        )
    seen_from_shared = [_compose(chain, stamps) for chain in chains]
    (_, position), (rotation, origin) = seen_from_shared
    return stamps, np.einsum("nji,nj->ni", rotation, position - origin)


def _links(transforms: Iterable[Transform]) -> dict[str, _Link]:
    """Child frame to its link."""
    links: dict[str, _Link] = {}
    for stamp, parent, child, translation, (x, y, z, w), static in transforms:
        pose = (*translation, w, x, y, z)
        if not all(abs(value) < _LARGEST for value in pose):  # NaN, Inf, damage
            continue
        parent, child = parent.strip("/"), child.strip("/")
        link = links.get(child)
        if link is None or link.parent != parent:
            link = links[child] = _Link(parent)
        if static:
            if not link.stamps:
                link.poses = [pose]
            continue
        if not link.stamps:
            link.poses.clear()
        while link.stamps and link.stamps[-1] >= stamp:
            link.stamps.pop()
            link.poses.pop()
        link.stamps.append(stamp)
        link.poses.append(pose)
    return links


def _ancestors(links: dict[str, _Link], frame: str) -> list[str]:
    """The frame, its parent, and so on to the root; a circle is followed once."""
    path = [frame]
    while path[-1] in links and links[path[-1]].parent not in path:
        path.append(links[path[-1]].parent)
    return path


def _tree(links: dict[str, _Link]) -> str:
    return ", ".join(sorted(f"{link.parent} -> {child}" for child, link in links.items()))


def _compose(chain: list[_Link], stamps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(rotations (n, 3, 3), positions (n, 3)) of the first link's frame in the last link's parent."""
    rotation, position = np.broadcast_to(np.eye(3), (len(stamps), 3, 3)), np.zeros((len(stamps), 3))
    for link in chain:
        turn, shift = _at(link, stamps)
        position = np.einsum("nij,nj->ni", turn, position) + shift
        rotation = turn @ rotation
    return rotation, position


def _at(link: _Link, stamps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(rotations, translations) of a link at the stamps, each of length n, or 1 for a static link."""
    poses = np.array(link.poses)
    if link.stamps:
        turned_back = np.sum(poses[1:, 3:] * poses[:-1, 3:], axis=1) < 0  # q and -q are the same rotation
        poses[1:, 3:] *= np.where(np.cumsum(turned_back) % 2, -1.0, 1.0)[:, None]
        known = np.array(link.stamps, np.int64)
        times, at = (known - known[0]) * 1e-9, (stamps - known[0]) * 1e-9
        poses = np.stack([np.interp(at, times, column) for column in poses.T], axis=1)
    return np.array([quat2mat(q) for q in poses[:, 3:]]), poses[:, :3]

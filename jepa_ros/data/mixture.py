"""Data mixtures: how often clips are drawn from which bags, however many frames each of them has."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from jepa_ros.data.episodes import Episode
from jepa_ros.errors import JepaError


def read_mixture(words: Sequence[str]) -> dict[str, float]:
    """`NAME=WEIGHT` words -> name to weight, which count relative to one another; JepaError where one is not that."""
    mixture: dict[str, float] = {}
    for word in words:
        name, _, value = word.rpartition("=")
        try:
            weight = float(value)
        except ValueError:
            weight = math.nan
        if not name or not (math.isfinite(weight) and weight > 0):
            raise JepaError(
                f"mixture {word!r}: write NAME=WEIGHT with a weight above 0, as in reach=0.5 push=0.5"
            )
        if name in mixture:
            raise JepaError(f"mixture: {name} has two weights, {mixture[name]:g} and {weight:g}; give one")
        mixture[name] = weight
    return mixture


def shared_out(
    episodes: Sequence[Episode], mixture: Mapping[str, float], folders: Sequence[str | Path]
) -> list[Episode]:
    """The episodes, each with the name of the share it belongs to.

    A share's name is one of ``folders`` (those that bags were read from) as it was given, or the last part of one, or a task
    that bags name. Of several that fit, the first of these three counts. JepaError where an episode belongs to no share, or
    a share has no episode.
    """
    if not mixture:
        return list(episodes)
    given = sorted(((Path(f), str(f)) for f in folders), key=lambda pair: -len(pair[0].parts))
    shared = []
    for episode in episodes:
        folder, written = next(
            ((p, w) for p, w in given if Path(episode.source).is_relative_to(p)), (Path(), "")
        )
        names = (written, str(folder), folder.resolve().name, str(episode.metadata.get("task", "")))
        share = next((name for name in names if name in mixture), None)
        if share is None:
            raise JepaError(
                f"mixture of {', '.join(mixture)}: none of these is the folder or the task of {episode.source} (folder "
                f"{names[2]}, task {names[3] or 'not named'}); give it a weight, or leave it out of --bags"
            )
        shared.append(replace(episode, share=share))
    require_every_share(shared, mixture)
    return shared


def require_every_share(episodes: Sequence[Episode], mixture: Mapping[str, float]) -> None:
    """JepaError where a share of the mixture has none of the episodes."""
    present = {episode.share for episode in episodes}
    missing = [name for name in mixture if name not in present]
    if missing:
        raise JepaError(
            f"mixture: no episode for {', '.join(missing)}; name folders of --bags, or tasks that their bags name, and "
            "record more where there are too few to train on"
        )


def mixture_table(episodes: Sequence[Episode], mixture: Mapping[str, float]) -> str:
    """Of each share its episodes, frames, and how much of what is drawn it is."""
    total = sum(mixture.values())
    lines = [f"{'share':20s} {'episodes':>9s} {'frames':>9s} {'drawn':>6s}"]
    for name, weight in mixture.items():
        lengths = [len(episode) for episode in episodes if episode.share == name]
        lines.append(f"{name:20s} {len(lengths):9d} {sum(lengths):9d} {weight / total:6.0%}")
    return "\n".join(lines)

"""Named sets of training settings. What the command line says wins over a preset, and a preset over what is here without one."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace

from jepa_ros.errors import JepaError


@dataclass(frozen=True)
class Preset:
    """Settings by the names of TrainingConfig and ModelConfig; those of a training without a preset where nothing is said.

    mixture: weights of tasks or folders, see data/mixture.py; empty draws all clips alike.
    select_tasks, select_every, select_episodes: see Selection.
    """

    steps: int = 3000
    batch: int = 96
    clip: int = 6
    latent_dim: int = 64
    augmentation: str = "none"
    precision: str = "float32"
    head_steps: int = 3000
    mixture: dict[str, float] = field(default_factory=dict)
    select_tasks: tuple[str, ...] = ()
    select_every: int = 1000
    select_episodes: int = 20


PRESETS = {
    "reach": Preset(
        steps=5000,
        augmentation="views",
        precision="bfloat16",
        select_tasks=("reach",),
    ),
    "push": Preset(
        steps=8000,
        latent_dim=128,
        augmentation="views",
        precision="bfloat16",
        head_steps=6000,
        select_tasks=("push",),
    ),
    "all": Preset(
        steps=10000,
        latent_dim=128,
        augmentation="views",
        precision="bfloat16",
        head_steps=6000,
        mixture={"reach": 0.4, "push": 0.6},
        select_tasks=("reach", "push"),
    ),
}
NAMES = tuple(f.name for f in fields(Preset))


def chosen(name: str, given: Mapping) -> Preset:
    """The preset of that name, "" for none, with the settings in ``given`` in place of its own; JepaError where there is
    none of that name."""
    if name and name not in PRESETS:
        raise JepaError(f"unknown preset {name!r}; known: {', '.join(PRESETS)}")
    return replace(PRESETS.get(name, Preset()), **given)

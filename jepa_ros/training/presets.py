"""Named sets of training settings. What the command line says wins over a preset, and a preset over what is here without one."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace

from jepa_ros.errors import JepaError


@dataclass(frozen=True)
class Preset:
    """Settings by the names of TrainingConfig and ModelConfig; those of a training without a preset where nothing is said.

    slow_dims, loss_weights: see LossConfig; weights by term.
    mixture: weights of tasks or folders, see data/mixture.py; empty draws all clips alike.
    select_tasks, select_every, select_episodes: see Selection.  head_select_every: see TrainingConfig.
    """

    steps: int = 3000
    batch: int = 96
    clip: int = 6
    latent_dim: int = 64
    slow_dims: int = 0
    loss_weights: dict[str, float] = field(default_factory=dict)
    augmentation: str = "none"
    precision: str = "float32"
    head_steps: int = 3000
    mixture: dict[str, float] = field(default_factory=dict)
    select_tasks: tuple[str, ...] = ()
    select_every: int = 1000
    select_episodes: int = 20
    head_select_every: int = 1000


_SEEN = {"augmentation": "views", "precision": "bfloat16", "select_every": 2000, "select_episodes": 50}
_CUBE = {"slow_dims": 16, "loss_weights": {"regulariser": 3.0}}
"""A cube fills little of the picture: without these nothing in the latent holds it (docs/train_on_your_bags.md)."""

PRESETS = {
    "reach": Preset(steps=5000, select_tasks=("reach",), **_SEEN),
    "push": Preset(steps=8000, head_steps=6000, select_tasks=("push",), **_SEEN, **_CUBE),
    "all": Preset(
        steps=8000,
        head_steps=6000,
        mixture={"reach": 0.5, "push": 0.5},
        select_tasks=("reach", "push"),
        **_SEEN,
        **_CUBE,
    ),
}
NAMES = tuple(f.name for f in fields(Preset))


def chosen(name: str, given: Mapping) -> Preset:
    """The preset of that name, "" for none, with the settings in ``given`` in place of its own; JepaError where there is
    none of that name."""
    if name and name not in PRESETS:
        raise JepaError(f"unknown preset {name!r}; known: {', '.join(PRESETS)}")
    return replace(PRESETS.get(name, Preset()), **given)

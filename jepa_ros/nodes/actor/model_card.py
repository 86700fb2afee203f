"""What a checkpoint's config.json says, for nodes that must not load its weights (no torch in the
planner)."""

import json
from dataclasses import dataclass
from pathlib import Path

from jepa_ros.data.action_spec import ActionSpec
from jepa_ros.errors import JepaError


@dataclass(frozen=True)
class ModelCard:
    """spec: the robot it was trained for.  context: T.  latent_dim: D.  goal_tolerance: latent distance that
    means "there"."""

    spec: ActionSpec
    context: int
    latent_dim: int
    goal_tolerance: float


def read_card(checkpoint: str) -> ModelCard:
    """Read ``checkpoint``/config.json; JepaError names the file and what is wrong with it."""
    path = Path(checkpoint) / "config.json"
    try:
        config = json.loads(path.read_text())
        return ModelCard(
            ActionSpec.from_dict(config["action_spec"]),
            int(config["model"]["context"]),
            int(config["model"]["latent_dim"]),
            float(config["goal_tolerance"]),
        )
    except OSError as error:
        raise JepaError(
            f"checkpoint {path}: {error.strerror}; set the parameter checkpoint to a directory that "
            "`jepa train --out` wrote"
        ) from error
    except (ValueError, TypeError, KeyError, JepaError) as error:
        raise JepaError(
            f"checkpoint {path}: not a config.json that `jepa train` wrote ({error!r})"
        ) from error

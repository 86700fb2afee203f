"""What heads.safetensors says of itself. No torch: the planner reads it."""

import json
from pathlib import Path

from safetensors import SafetensorError, safe_open

from jepa_ros.errors import JepaError
from jepa_ros.world_model.trust import HEADS, heads_may_be_used


def heads_metadata(checkpoint: str | Path) -> dict[str, str]:
    """The metadata of ``checkpoint``/heads.safetensors; JepaError where the file cannot be read."""
    file = Path(checkpoint) / HEADS
    try:
        with safe_open(file, framework="np") as content:
            return content.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise JepaError(
            f"checkpoint {file}: not a readable safetensors file ({error}); train them again: `jepa heads`"
        ) from error


def macro_width(checkpoint: str | Path) -> int:
    """U of the heads' slow level, 0 where they have none; JepaError where the file does not say what heads it holds."""
    heads = _described(checkpoint)
    return int(heads.get("macro", 0)) if heads.get("stride") else 0


def found_objects(checkpoint: str | Path, pin: str) -> bool:
    """Whether ``checkpoint`` has heads that ``pin`` lets be used and that have found things which stay while the arm moves;
    JepaError where the file does not say what heads it holds."""
    return heads_may_be_used(checkpoint, pin) and bool(_described(checkpoint).get("objects"))


def _described(checkpoint: str | Path) -> dict:
    """The architecture that the file names."""
    try:
        return dict(json.loads(heads_metadata(checkpoint)["heads"]))
    except (KeyError, ValueError, TypeError) as error:
        file = Path(checkpoint) / HEADS
        raise JepaError(
            f"checkpoint {file}: not one that `jepa heads` wrote ({error!r}); train them again"
        ) from error

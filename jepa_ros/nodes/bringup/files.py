"""Finds the files of this package. No ROS import here."""

from pathlib import Path

from jepa_ros.errors import JepaError

_NEEDED = {"push": "reach_push"}


def find(relative: str) -> Path:
    """A file or folder of this package, in the source tree or in an installed share folder."""
    for parent in Path(__file__).resolve().parents[3:8]:
        for base in (parent, parent / "share" / "jepa_ros"):
            if (base / "package.xml").is_file() and (base / relative).exists():
                return base / relative
    raise JepaError(f"{relative} of jepa_ros was not found; build the workspace, or give the path")


def shipped_model(task: str) -> str:
    """The name of the model in models/ that does a task of the simulator."""
    return _NEEDED.get(task, "reach")


def find_checkpoint(name: str) -> Path:
    """A checkpoint directory: a path, or the name of a model in models/."""
    if (Path(name) / "config.json").is_file():
        return Path(name).resolve()
    try:
        return find(f"models/{name}")
    except JepaError:
        raise JepaError(
            f"checkpoint {name!r}: neither a directory with a config.json nor a model shipped in models/; "
            "give a directory that `jepa train --out` wrote"
        ) from None

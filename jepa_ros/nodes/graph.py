"""The one source of truth of a bring-up: which processes, which nodes, which parameters. No ROS import here.

`launch/sim.launch.py` and `jepa demo` both run what ``processes`` returns.
"""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from jepa_ros.errors import JepaError

COMPOSITIONS = ("distributed", "single")
LOG_LEVELS = ("debug", "info", "warn", "error", "fatal")
MODEL_NODES = ("encoder", "world_model", "cost", "planner")
WITH_CHECKPOINT = ("encoder", "world_model", "planner")


@dataclass(frozen=True)
class Process:
    """One executable, and the nodes that live in it. arguments: its command line after the executable."""

    executable: str
    nodes: tuple[str, ...]
    arguments: tuple[str, ...]


@dataclass(frozen=True)
class Graph:
    """What a user chooses. namespace: of every node and topic.  composition: "distributed" or "single".
    checkpoint: a directory, or the name of a shipped model.  params_file: YAML; None is config/so101.yaml.
    simulator: False where a robot or another simulator gives image and joint_states.
    overrides: node name to parameters, stronger than the file.
    """

    namespace: str = "jepa"
    composition: str = "distributed"
    task: str = "reach"
    seed: int = 0
    checkpoint: str = "reach"
    params_file: str | None = None
    use_sim_time: bool = False
    autostart: bool = True
    simulator: bool = True
    log_level: str = "info"
    overrides: Mapping[str, Mapping[str, object]] = field(default_factory=dict)

    def __post_init__(self):
        for name, value, known in (
            ("composition", self.composition, COMPOSITIONS),
            ("log_level", self.log_level, LOG_LEVELS),
        ):
            if value not in known:
                raise JepaError(f"{name} is {value!r}; choose one of {', '.join(known)}")

    @property
    def nodes(self) -> tuple[str, ...]:
        """Names of all nodes, in the order in which they start."""
        return tuple(node for _, nodes in self._layout() for node in nodes)

    def node_parameters(self) -> dict[str, dict[str, object]]:
        """Node name to the parameters that this graph sets beyond the parameter file."""
        checkpoint = str(find_checkpoint(self.checkpoint))
        parameters: dict[str, dict[str, object]] = {}
        for node in self.nodes:
            values: dict[str, object] = {"autostart": self.autostart}
            if node in WITH_CHECKPOINT:
                values["checkpoint"] = checkpoint
            if node == "simulator":
                values |= {"task": self.task, "seed": self.seed}
            else:
                values["use_sim_time"] = self.use_sim_time
            if node == "action_publisher":
                values["auto_arm"] = self.simulator  # a real arm moves only after ~/arm
            parameters[node] = values | dict(self.overrides.get(node, {}))
        unknown = set(self.overrides) - set(self.nodes)
        if unknown:
            raise JepaError(
                f"overrides name nodes that this graph lacks: {sorted(unknown)}; it has {list(self.nodes)}"
            )
        return parameters

    def processes(self, folder: Path | None = None) -> list[Process]:
        """The processes in the order in which they start; reversed, they stop: plans first, the arm's side
        last.

        folder: where the file with the parameters of this graph is written; None is a new temporary folder.
        """
        params_file = Path(self.params_file) if self.params_file else find("config/so101.yaml")
        if not params_file.is_file():
            raise JepaError(f"params_file {params_file}: there is no such file")
        folder = folder or Path(tempfile.mkdtemp(prefix="jepa_ros_"))
        folder.mkdir(parents=True, exist_ok=True)
        own = folder / "graph_params.yaml"
        own.write_text(
            yaml.safe_dump(
                {
                    f"/**/{node}": {"ros__parameters": values}
                    for node, values in self.node_parameters().items()
                }
            )
        )
        arguments = (
            "--ros-args",
            "--log-level",
            self.log_level,
            "-r",
            f"__ns:=/{self.namespace.strip('/')}",
            "--params-file",
            str(params_file.resolve()),
            "--params-file",
            str(own),
        )
        return [Process(executable, nodes, arguments) for executable, nodes in self._layout()]

    def _layout(self) -> list[tuple[str, tuple[str, ...]]]:
        model = (
            [("single", MODEL_NODES)] if self.composition == "single" else [(n, (n,)) for n in MODEL_NODES]
        )
        arm = [("simulator", ("simulator",))] if self.simulator else []
        return [*arm, ("action_publisher", ("action_publisher",)), *model]


def find(relative: str) -> Path:
    """A file or folder of this package, in the source tree or in an installed share folder."""
    for parent in Path(__file__).resolve().parents[2:7]:
        for base in (parent, parent / "share" / "jepa_ros"):
            if (base / "package.xml").is_file() and (base / relative).exists():
                return base / relative
    raise JepaError(f"{relative} of jepa_ros was not found; build the workspace, or give the path")


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

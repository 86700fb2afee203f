"""The one source of truth of a bring-up: which processes, nodes, parameters and topics. No ROS import here.

The launch files and `jepa demo` all run what ``processes`` returns.
"""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from jepa_ros.data.topics import base_of
from jepa_ros.errors import JepaError
from jepa_ros.nodes.bringup.files import find, find_checkpoint, shipped_model
from jepa_ros.nodes.bringup.preset import read_preset
from jepa_ros.world_model.trust import model_id_of

__all__ = ["COMPOSITIONS", "LOG_LEVELS", "OUTPUT_TOPICS", "Graph", "Process", "find", "find_checkpoint"]

COMPOSITIONS = ("distributed", "single")
LOG_LEVELS = ("debug", "info", "warn", "error", "fatal")
MODEL_NODES = ("encoder", "world_model", "cost", "planner")
WITH_CHECKPOINT = ("encoder", "world_model", "cost", "planner")
WITH_DEVICE = ("encoder", "world_model", "cost")
OUTPUT_TOPICS = {"trajectory": "joint_trajectory", "commands": "commands", "twist_cmds": "twist_cmds"}
"""output_type of action_publisher to the topic on which it then sends."""


@dataclass(frozen=True)
class Process:
    """One executable, and the nodes that live in it. arguments: its command line after the executable, with the
    SROS2 enclave NAMESPACE/EXECUTABLE, which counts where ROS security is on."""

    executable: str
    nodes: tuple[str, ...]
    arguments: tuple[str, ...]


@dataclass(frozen=True)
class Graph:
    """What a user chooses. namespace: of every node and topic.  composition: "distributed" or "single".
    robot: a preset in config/robots/, or a YAML file; "" is the simulated SO-101.
    params_file: YAML that adds to it.  device: where the checkpoint computes; "" is as the files say.
    checkpoint: a directory, or the name of a shipped model; "" is the one that does the task.
    checkpoint_sha256: of its model.safetensors, and after a comma of its heads.safetensors; another file, and a plan of
        another model, is refused. "" takes any.
    simulator: False where a robot or another simulator gives image and joint_states.
    image_topic, camera_info_topic, joint_state_topic, robot_description_topic, command_topic: the robot's
        names; "" is this graph's own. A name without a leading slash lies in the namespace.
    output_type: what command_topic takes: trajectory, commands, twist_cmds; "" is the files'.
    dry_run: say what would be sent, and send nothing; None: unless the arm is the simulated one.
    overrides: node name to parameters, stronger than everything else.
    """

    namespace: str = "jepa"
    composition: str = "distributed"
    task: str = "reach"
    seed: int = 0
    robot: str = ""
    checkpoint: str = ""
    checkpoint_sha256: str = ""
    device: str = ""
    params_file: str | None = None
    use_sim_time: bool = False
    autostart: bool = True
    simulator: bool = True
    image_topic: str = ""
    camera_info_topic: str = ""
    joint_state_topic: str = ""
    robot_description_topic: str = ""
    command_topic: str = ""
    output_type: str = ""
    dry_run: bool | None = None
    log_level: str = "info"
    overrides: Mapping[str, Mapping[str, object]] = field(default_factory=dict)

    def __post_init__(self):
        if not self.checkpoint:
            object.__setattr__(self, "checkpoint", shipped_model(self.task))
        for name, value, known in (
            ("composition", self.composition, COMPOSITIONS),
            ("log_level", self.log_level, LOG_LEVELS),
            ("output_type", self.output_type, ("", *OUTPUT_TOPICS)),
        ):
            if value not in known:
                raise JepaError(f"{name} is {value!r}; choose one of {', '.join(filter(None, known))}")

    @property
    def nodes(self) -> tuple[str, ...]:
        """Names of all nodes, in the order in which they start."""
        return tuple(node for _, nodes in self._layout() for node in nodes)

    @property
    def remappings(self) -> dict[str, str]:
        """Name of a topic in this graph to the robot's name for it, where that is given."""
        given = {
            "image": self.image_topic,
            "image/compressed": self.image_topic and f"{self.image_topic}/compressed",
            "camera_info": self.camera_info_topic,
            "joint_states": self.joint_state_topic,
            "robot_description": self.robot_description_topic,
            **dict.fromkeys(OUTPUT_TOPICS.values(), self.command_topic),
        }
        return {name: topic for name, topic in given.items() if topic}

    @property
    def parameter_files(self) -> tuple[Path, ...]:
        """The robot's files and the user's own, the stronger ones later."""
        own = (Path(self.params_file).resolve(),) if self.params_file else ()
        for path in own:
            if not path.is_file():
                raise JepaError(f"params_file {path}: there is no such file")
        return (*read_preset(self.robot).files, *own)

    def node_parameters(self) -> dict[str, dict[str, object]]:
        """Node name to the parameters that this graph sets beyond the parameter file."""
        checkpoint = str(find_checkpoint(self.checkpoint))
        parameters: dict[str, dict[str, object]] = {}
        for node in self.nodes:
            values: dict[str, object] = {"autostart": self.autostart}
            if node in WITH_CHECKPOINT:
                values["checkpoint"] = checkpoint
                if self.checkpoint_sha256:
                    values["checkpoint_sha256"] = self.checkpoint_sha256
            if node in WITH_DEVICE and self.device:
                values["device"] = self.device
            if node == "simulator":
                values |= {"task": self.task, "seed": self.seed}
            else:
                values["use_sim_time"] = self.use_sim_time
            if node == "action_publisher":
                values["auto_arm"] = self.simulator  # a real arm moves only after ~/arm
                values["dry_run"] = not self.simulator if self.dry_run is None else self.dry_run
                if self.output_type:
                    values["output_type"] = self.output_type
                if self.checkpoint_sha256:
                    values["model_id"] = model_id_of(self.checkpoint_sha256)
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
        folder = folder or Path(tempfile.mkdtemp(prefix="jepa_ros_"))
        folder.mkdir(parents=True, exist_ok=True)
        own = folder / "graph_params.yaml"
        base = base_of(self.namespace)
        own.write_text(  # keys count in the order of their first occurrence: these, in no other file, win
            yaml.safe_dump(
                {
                    f"/**/**{base}/{node}": {"ros__parameters": values}
                    for node, values in self.node_parameters().items()
                }
            )
        )
        arguments = ["--ros-args", "--log-level", self.log_level, "-r", f"__ns:={base or '/'}"]
        for name, topic in self.remappings.items():
            arguments += ["-r", f"{name}:={topic}"]
        for path in (*self.parameter_files, own):
            arguments += ["--params-file", str(path)]
        return [
            Process(executable, nodes, (*arguments, "--enclave", f"{base}/{executable}"))
            for executable, nodes in self._layout()
        ]

    def _layout(self) -> list[tuple[str, tuple[str, ...]]]:
        model = (
            [("single", MODEL_NODES)] if self.composition == "single" else [(n, (n,)) for n in MODEL_NODES]
        )
        arm = [("simulator", ("simulator",))] if self.simulator else []
        return [*arm, ("action_publisher", ("action_publisher",)), *model]

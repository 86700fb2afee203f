"""The parameter reference, made from the code: `python -m jepa_ros.nodes.describe.reference > docs/parameters.md`."""

from jepa_ros.nodes.action_publisher import ActionPublisherNode
from jepa_ros.nodes.base.lifecycle import AUTOSTART
from jepa_ros.nodes.base.parameters import Param
from jepa_ros.nodes.base.robot import ROBOT_PARAMS
from jepa_ros.nodes.cost import CostNode
from jepa_ros.nodes.encoder import EncoderNode
from jepa_ros.nodes.planner import PlannerNode
from jepa_ros.nodes.simulator import SimulatorNode
from jepa_ros.nodes.world_model import WorldModelNode

NODES = (EncoderNode, WorldModelNode, CostNode, PlannerNode, ActionPublisherNode, SimulatorNode)
HEAD = """# Parameters

Made by `python -m jepa_ros.nodes.describe.reference` from the tables in the code; a test compares. `config/so101.yaml` sets some
of them for the simulated arm.

- Values are checked at start and at every `ros2 param set`. A bad one at start ends the process with exit code 2; a name
  that does not exist is ignored, with a warning that names the nearest one.
- Most are read when a node is configured: a change counts from the next configure on.
- A parameter that says "Read-only" is given at start and stays.
- `action_publisher` refuses every change while it is RUNNING: call `~/hold` first.
"""


def table(params) -> str:
    """A Markdown table."""
    rows = ["| parameter | default | allowed | |", "|---|---|---|---|"]
    return "\n".join(
        rows
        + [
            f"| `{p.name}` | {_default(p)} | {_allowed(p)} | {p.description}{' Read-only.' * p.read_only} |"
            for p in params
        ]
    )


def text() -> str:
    """The whole page."""
    parts = [
        HEAD,
        "## Every node\n",
        table([AUTOSTART]),
        "\n## The robot, read by every node but `simulator`\n",
        table(ROBOT_PARAMS),
    ]
    for node in NODES:
        parts += [f"\n## `{node.NAME}`\n", table([p for p in node.PARAMS if p not in ROBOT_PARAMS])]
    return "\n".join(parts) + "\n"


def _default(param: Param) -> str:
    if isinstance(param.default, list) and len(param.default) > 1:
        return "SO-101"
    return f"`{param.default}`" if param.default != "" else "empty"


def _allowed(param: Param) -> str:
    if param.choices:
        return ", ".join(f"`{choice}`" for choice in param.choices)
    return "" if param.low is None else f"{param.low:g} to {param.high:g}"


if __name__ == "__main__":
    print(text(), end="")

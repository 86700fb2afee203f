"""Loading a checkpoint in the nodes that compute with it."""

import torch

from jepa_ros.errors import JepaError
from jepa_ros.export.choose import with_runtime
from jepa_ros.export.runtimes import RUNTIMES
from jepa_ros.nodes.base.parameters import Param
from jepa_ros.nodes.base.pin import CHECKPOINT_SHA256
from jepa_ros.nodes.base.robot import robot_spec
from jepa_ros.world_model.checkpoint import Checkpoint, load_checkpoint
from jepa_ros.world_model.device import require_device

CHECKPOINT = Param("checkpoint", "", "Checkpoint directory (config.json, model.safetensors).")
MODEL_PARAMS = (
    CHECKPOINT,
    CHECKPOINT_SHA256,
    Param("device", "cpu", "Where the model computes: cpu, cuda, cuda:0."),
    Param(
        "torch_threads",
        1,
        "Threads of torch, or of ONNX Runtime, in this process. More than the free cores makes it many times slower.",
        1,
        256,
    ),
    Param(
        "runtime",
        "auto",
        "What computes the model: torch, or onnx (ONNX Runtime on the CPU, with what `jepa export` wrote). auto: onnx on "
        "the CPU, and torch where that cannot be or the checkpoint is pinned; the log then says why.",
        choices=RUNTIMES,
    ),
    Param("onnx", "", "The folder that `jepa export` wrote for `checkpoint`; empty: the checkpoint's own."),
)


def load(node, path: str | None = None) -> Checkpoint:
    """The checkpoint that a node's parameters name, checked against its `robot.*`, its model computed by `runtime`;
    JepaError says what is wrong."""
    threads = node.param("torch_threads")
    torch.set_num_threads(threads)
    export = "" if path else node.param("onnx")
    path = path or node.param("checkpoint")
    if not path:
        raise JepaError(
            "the parameter checkpoint is empty; set it to a directory that `jepa train --out` wrote"
        )
    device = str(require_device(node.param("device")))
    checkpoint = load_checkpoint(path, device, node.param("checkpoint_sha256"))
    checkpoint.spec.require_match(robot_spec(node), f"checkpoint {path}", f"robot of node {node.get_name()}")
    return with_runtime(
        checkpoint,
        node.param("runtime"),
        export,
        threads,
        node.get_logger().warning,
        pinned=bool(node.param("checkpoint_sha256")),
    )

"""The pin of a checkpoint, a parameter of every node that reads one."""

from jepa_ros.nodes.base.parameters import Param

CHECKPOINT_SHA256 = Param(
    "checkpoint_sha256",
    "",
    "sha256 of the checkpoint's model.safetensors (64 hex digits); another file is refused, also by "
    "~/load_checkpoint. Empty: any.",
    read_only=True,
)

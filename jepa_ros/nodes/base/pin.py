"""The pin of a checkpoint, a parameter of every node that reads one."""

from jepa_ros.nodes.base.parameters import Param

CHECKPOINT_SHA256 = Param(
    "checkpoint_sha256",
    "",
    "sha256 of the checkpoint's model.safetensors (64 hex digits), and after a comma that of its heads.safetensors, without "
    "which the heads of a pinned checkpoint are not used; another file is refused, also by ~/load_checkpoint. Empty: any.",
    read_only=True,
)

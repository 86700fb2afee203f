"""Types of other packages are found where ROS 2 installs them."""

import subprocess
import sys

CODE = """
from jepa_ros.data.installed_types import knows
from jepa_ros.data.messages import message_class, serialize, deserialize
print(*(knows(kind) for kind in ("grip_msgs/msg/Grip", "grip_msgs/msg/Torn", "grip_msgs/msg/None", "Grip",
                                 "sensor_msgs/msg/Image", "jepa_ros/msg/Tensor")))
finger = message_class("grip_msgs/msg/Finger")
header = message_class("std_msgs/msg/Header")
time = message_class("builtin_interfaces/msg/Time")
grip = message_class("grip_msgs/msg/Grip")(
    header=header(stamp=time(sec=1, nanosec=2), frame_id="hand"), fingers=[finger(force=0.5)], names=["a"])
print(deserialize(serialize(grip), "grip_msgs/msg/Grip").fingers[0].force)
"""


def test_an_installed_type_is_read_with_all_its_parts(tmp_path, monkeypatch):
    """In a process of its own: the typestore is one per process."""
    folder = tmp_path / "share" / "grip_msgs" / "msg"
    folder.mkdir(parents=True)
    (folder / "Grip.msg").write_text("std_msgs/Header header\nFinger[] fingers\nstring[<=4] names\n")
    (folder / "Finger.msg").write_text("float64 force\n")
    (folder / "Torn.msg").write_text("Missing part\n")
    monkeypatch.setenv("AMENT_PREFIX_PATH", f"{tmp_path / 'nowhere'}:{tmp_path}")
    run = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
    assert run.stdout.split() == ["True", "False", "False", "False", "True", "True", "0.5"]

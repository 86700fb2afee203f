"""The command that record.launch.py runs: `ros2 bag record` where it is installed, else `jepa record`. No ROS import
here."""

import importlib.util
import json
import sys
from datetime import datetime

from jepa_ros.data.bag_writer import CUSTOM_KEY
from jepa_ros.errors import JepaError
from jepa_ros.nodes.bags.record_metadata import describe, origin, read_params_file
from jepa_ros.nodes.bringup.graph import find_checkpoint
from jepa_ros.nodes.bringup.record_topics import read_record_topics, resolve

RECORDERS = ("auto", "rosbag2", "jepa")


def record_command(
    recorder: str = "auto",
    namespace: str = "jepa",
    out: str = "",
    topics_file: str = "",
    checkpoint: str = "",
    params_file: str = "",
    use_sim_time: bool = False,
) -> list[str]:
    """The command line as a list of words.

    recorder: "rosbag2", "jepa", or "auto": rosbag2 where it is installed.  out: "" is a name with the date.
    checkpoint, params_file: what the bag says of the model and the parameters. `jepa record` asks the nodes for both;
    a bag of rosbag2 says what is given here, and nothing else. JepaError names what is not there.
    """
    if recorder not in RECORDERS:
        raise JepaError(f"recorder is {recorder!r}; choose one of {', '.join(RECORDERS)}")
    checkpoint = str(find_checkpoint(checkpoint)) if checkpoint else ""
    topics = resolve(read_record_topics(topics_file or None), namespace)
    if recorder == "jepa" or (recorder == "auto" and not rosbag2_is_installed()):
        command = [sys.executable, "-m", "jepa_ros.cli.main", "record", "--namespace", namespace]
        for option, value in (("--out", out), ("--topics", topics_file), ("--checkpoint", checkpoint)):
            command += [option, value] if value else []
        return command + (["--use-sim-time"] if use_sim_time else [])
    parameters = read_params_file(params_file, namespace) if params_file else {}
    metadata = json.dumps(origin(namespace, "rosbag2") | describe(parameters, checkpoint))
    return [
        *("ros2", "bag", "record", "--storage", "mcap", "--storage-preset-profile", "zstd_fast"),
        *("--output", out or datetime.now().strftime("jepa_%Y_%m_%d-%H_%M_%S")),
        # `ros2 bag` splits at every "=" and keeps the second part; in JSON it stands within strings only.
        *("--custom-data", f"{CUSTOM_KEY}={metadata.replace('=', chr(92) + 'u003d')}"),
        *(["--use-sim-time"] if use_sim_time else []),
        *("--topics", *(entry.topic for entry in topics)),
    ]


def rosbag2_is_installed() -> bool:
    """Whether `ros2 bag record` can be run."""
    return importlib.util.find_spec("ros2bag") is not None

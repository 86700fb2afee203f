"""Where a LeRobot v3 dataset keeps what, and what we call our own columns in it."""

import importlib.util

from jepa_ros.errors import JepaError

VERSION = "v3.0"
INFO = "meta/info.json"
STATS = "meta/stats.json"
TASKS = "meta/tasks.parquet"
EPISODES = "meta/episodes/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
DATA = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
VIDEO = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
FILES_PER_CHUNK = 1000
DATA_MB, VIDEO_MB = 100, 200
"""A file that has grown beyond this many megabytes gets no further episode."""

STATE, ACTION, CAMERA = "observation.state", "action", "observation.images.camera"
TARGET = "jepa_ros.target"
"""Our own column: (A,) float64 rad, the commanded target at the frame; `action` holds the next frame's."""
OWN = "jepa_ros"
"""Our own key in info.json ({"action_spec": ...}), and the start of our columns in the table of episodes."""
FRAME_COLUMNS = {
    "timestamp": "float32",
    "frame_index": "int64",
    "episode_index": "int64",
    "index": "int64",
    "task_index": "int64",
}


def require_libraries() -> None:
    """JepaError with the pip command where pyarrow or PyAV is missing."""
    missing = [name for name in ("pyarrow", "av") if importlib.util.find_spec(name) is None]
    if missing:
        raise JepaError(
            f"LeRobot datasets need {' and '.join(missing)}: pip install pyarrow av "
            "(with jepa_ros itself: pip install 'jepa_ros[lerobot]')"
        )

"""Makes the dataset in this folder with LeRobot 0.4.4 itself: `python make.py NEW_FOLDER`.

Two episodes of 48 and 36 frames at 30 Hz, in degrees, with a video and an image camera.
"""

import sys

import numpy as np
from lerobot.datasets.lerobot_dataset import LeRobotDataset

NAMES = ["shoulder_pan.pos", "shoulder_lift.pos", "gripper.pos"]
AXES = ["height", "width", "channels"]

dataset = LeRobotDataset.create(
    "local/foreign",
    30,
    {
        "action": {"dtype": "float32", "shape": (3,), "names": NAMES},
        "observation.state": {"dtype": "float32", "shape": (3,), "names": NAMES},
        "observation.images.front": {"dtype": "video", "shape": (64, 80, 3), "names": AXES},
        "observation.images.wrist": {"dtype": "image", "shape": (16, 16, 3), "names": AXES},
    },
    root=sys.argv[1],
    robot_type="so101_follower",
)
for episode, length in enumerate((48, 36)):
    targets = [[20 * np.sin(t / 12 + episode), t * 0.5 - 30, 10 + episode] for t in range(-1, length)]
    for t in range(length):
        dataset.add_frame(
            {
                "action": np.array(targets[t + 1], np.float32),
                "observation.state": np.array(targets[t], np.float32),
                "observation.images.front": np.full((64, 80, 3), (60 + 3 * t, 120, 200 - 3 * t), np.uint8),
                "observation.images.wrist": np.full((16, 16, 3), (t, 2 * t, 100 * episode), np.uint8),
                "task": ("Pick the cube", "Place the cube")[episode],
            }
        )
    dataset.save_episode()
dataset.finalize()

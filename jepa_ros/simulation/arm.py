"""The SO-101 arm: joint names, limits and home pose.

Position limits are those of ``so101_new_calib.xml`` (zero is the middle of each joint's range). The velocity
limit is the no-load speed of the STS3215 servo in every joint of the follower arm: 45 rpm, 0.222 s per 60
degrees, by its data sheet; 46 rpm was measured on a bench (github.com/TheRobotStudio/SO-ARM100, issue 134). The
acceleration limit is the largest that its register Acceleration can say: 254 steps of 100 per s^2, 4096 steps a turn.
"""

import math

import numpy as np

JOINT_NAMES = ("shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll", "gripper")

POSITION_LOWER = np.array([-1.91986, -1.74533, -1.69, -1.65806, -2.74385, -0.17453])
"""(A,) rad"""

POSITION_UPPER = np.array([1.91986, 1.74533, 1.69, 1.65806, 2.84121, 1.74533])
"""(A,) rad"""

VELOCITY = np.full(len(JOINT_NAMES), 45 * 2 * math.pi / 60)
"""(A,) rad/s"""

ACCELERATION = np.full(len(JOINT_NAMES), 254 * 100 * 2 * math.pi / 4096)
"""(A,) rad/s^2"""

HOME = np.array([0.0, -0.5, 0.5, 0.8, 0.0, 0.3])
"""(A,) rad: folded a little, gripper in front of the base and above the table."""

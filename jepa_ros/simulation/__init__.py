"""MuJoCo SO-101: scene, tasks, rendering (no ROS)."""

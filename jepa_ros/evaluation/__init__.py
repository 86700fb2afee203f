"""Closed-loop evaluation, baselines, reports (no ROS)."""

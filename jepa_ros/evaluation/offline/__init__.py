"""Evaluation on recorded bags: does the model understand this robot (no ROS)."""

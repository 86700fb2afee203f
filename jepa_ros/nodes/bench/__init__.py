"""What `jepa bench` measures through the live ROS graph."""

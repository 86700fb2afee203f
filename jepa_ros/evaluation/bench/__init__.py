"""What `jepa bench` measures in its own processes, without ROS: one file per part, and the tables and plots of them all."""

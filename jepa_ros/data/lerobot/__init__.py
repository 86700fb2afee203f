"""LeRobot datasets (format v3): bags to them, and them to bags, by parquet and video libraries alone."""

"""Recording and replaying of live topics."""

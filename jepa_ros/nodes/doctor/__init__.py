"""`jepa doctor`: what is looked at before a run, one file per kind of check. It listens, and commands nothing."""

"""Visual shifts: what a model trained on one look of the scene is asked to see through."""

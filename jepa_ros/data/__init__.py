"""Bags to episodes, the ActionSpec, datasets."""

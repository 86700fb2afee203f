"""Sampling-based solvers, one algorithm per file."""

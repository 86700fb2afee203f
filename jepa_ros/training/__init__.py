"""The training loop (torch)."""

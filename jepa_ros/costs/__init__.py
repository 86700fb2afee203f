"""Cost terms and their weighted sum (torch)."""

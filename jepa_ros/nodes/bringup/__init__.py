"""From what a user chooses to running processes."""

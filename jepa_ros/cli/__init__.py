"""The `jepa` command."""

"""The action publisher's parameters and what it sends."""

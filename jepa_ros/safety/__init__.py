"""Hard limits and the guard between plans and the robot (NumPy only)."""

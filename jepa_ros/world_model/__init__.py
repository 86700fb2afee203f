"""World model: encoder, predictor, losses, checkpoints (torch)."""

"""The names of what can compute a model; ``jepa_ros.export.choose`` chooses."""

RUNTIMES = ("auto", "torch", "onnx")

"""The names of what can compute a model; ``jepa_ros.export.choose`` chooses."""

RUNTIMES = ("auto", "torch", "onnx")

NO_CODES = (
    "checkpoint {}: its latent variable z, which makes several futures of one action, has no ONNX export: a draw may "
    "fall on another code where runtimes differ in the last digit; torch computes it"
)

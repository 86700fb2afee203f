"""Checkpoints as ONNX files: written (torch), compared with torch, run again without torch."""

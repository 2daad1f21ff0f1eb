"""Giving a trained adapter away: to the hub, and as an ONNX file."""

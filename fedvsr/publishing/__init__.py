"""A run's model for others to use: a folder as model hubs expect it, or ONNX."""

"""Whatever turns images into candidates: PyTorch, ONNX Runtime, OpenVINO, TensorRT."""

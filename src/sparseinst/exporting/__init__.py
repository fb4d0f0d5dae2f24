"""Networks as files for other runtimes: ONNX, OpenVINO, torch.export, TensorRT; checked before they are done."""

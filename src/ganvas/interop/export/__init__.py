"""Export of trained runs to ONNX, torch.export, OpenVINO and other formats. Import from the submodules."""

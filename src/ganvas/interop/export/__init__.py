"""Export of trained runs to formats that other programs run: ONNX, torch.export, OpenVINO. Import the submodules."""

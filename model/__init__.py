"""The product encoder: model bundles, the torch-free ONNX runtime, and how a product becomes text."""

"""How ``weights/plate-reader.onnx`` is made: PP-OCRv6's small recogniser, tuned to plates.

``python -m training.reader`` does it all; ``training/README.md`` says what was tried.
"""

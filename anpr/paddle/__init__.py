"""PaddleOCR itself, the reference beside ``anpr.ocr``; importing this loads nothing of it."""

from anpr.paddle.reader import PaddleReader

__all__ = ["PaddleReader"]

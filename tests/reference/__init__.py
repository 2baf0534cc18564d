"""The two runtimes side by side; needs `make reference`. Run with `pytest -m reference`."""

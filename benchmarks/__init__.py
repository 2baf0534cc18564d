"""What is measured, and how to measure it again: speed, memory, start, agreement.

``python -m benchmarks.speed`` and ``python -m benchmarks.agreement`` print tables; each runtime
runs in a process of its own, on one thread.
"""

"""Benchmarks: ratios of things measured side by side, ``python -m tests.benchmarks``."""

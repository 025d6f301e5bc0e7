"""Proofs: long runs with injected faults, ``python -m tests.proofs``."""

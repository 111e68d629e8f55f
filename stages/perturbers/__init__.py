"""Perturbers give δ. One file or folder a kind, with its network and its training; one row each in `registry.py`."""

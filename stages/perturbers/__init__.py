"""Perturbers: what makes δ. One file a kind, behind the contract of `base.py`."""

"""Kinds of task: one file a kind, behind the contract of `base.py`."""

"""Kinds of task: one file a kind, behind the contract of `task_kind.py`."""

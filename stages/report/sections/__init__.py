"""Sections of the report: one file each, behind the contract of `base.py`."""

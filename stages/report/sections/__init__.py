"""Sections of the report: one file each, behind the contract of `report_input.py`."""

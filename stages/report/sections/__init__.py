"""Sections of the report: a function each, from what a run has found to what its template is given."""

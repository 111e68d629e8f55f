"""Datasets of faces."""

"""Datasets of medical pictures."""

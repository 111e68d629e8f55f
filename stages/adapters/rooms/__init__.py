"""Datasets of rooms, with labels for every pixel."""

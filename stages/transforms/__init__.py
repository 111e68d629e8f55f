"""Transformations of pixels: one file each."""

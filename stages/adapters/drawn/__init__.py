"""Datasets that are drawn here: no picture is downloaded."""

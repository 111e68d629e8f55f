"""Estimate: a few images and steps are measured, so that a plan can say time and bytes."""

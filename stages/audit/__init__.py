"""Audit: fresh victims on clean, noise and protected data, and what their figures prove."""

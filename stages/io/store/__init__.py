"""Stores: a few verified verbs over objects, on any storage that fsspec reaches."""

"""Ingest: a shard is read, decoded and profiled, and its images are cached for the trainers."""

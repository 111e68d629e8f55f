"""Protect: one shard in, one protected shard out, checked from its final bytes."""

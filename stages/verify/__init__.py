"""Verify: a published shard is read again, as a stranger would."""

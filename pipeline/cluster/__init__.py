"""Ray: one function over many shards, and progress for people and machines."""

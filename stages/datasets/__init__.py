"""Adapters that turn a public dataset, or one drawn here, into shards."""

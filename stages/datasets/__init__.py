"""Adapters that turn a dataset into shards, one room a kind; `registry.py` names them all."""

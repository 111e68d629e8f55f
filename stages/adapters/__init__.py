"""Adapters turn folders, tables, video frames and public datasets into shards; each has a row in `registry.py`."""

"""Shards: listing, reading and writing of tar and Parquet, and the layout of a sample."""

"""Where data lies and how it is stored: stores, listings, shard readers and writers, image codecs."""

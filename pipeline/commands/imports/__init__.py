"""`mtlue import`: one file a dataset, each a command; a new one is a line in `registry.py`."""

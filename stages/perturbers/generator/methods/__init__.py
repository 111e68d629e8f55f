"""Base methods: what the generator minimises. One file a method, behind the contract of `method.py`."""

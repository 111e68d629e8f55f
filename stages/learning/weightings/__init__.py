"""Task weightings: from the losses of K tasks to one backward pass. One file each, behind the contract of `base.py`."""

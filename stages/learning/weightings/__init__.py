"""Task weightings: from the losses of K tasks to a step's gradients, behind the contract of `weighting.py`."""

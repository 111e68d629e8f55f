"""Task weightings: from the losses of K tasks to a step's gradients. One file each, behind `base.py`'s contract."""

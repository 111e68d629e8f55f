"""Differentiable twins of transformations, for δ that is to survive them: one file each."""

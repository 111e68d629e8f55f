"""Transformations of pixels, their differentiable twins, and movements of places."""

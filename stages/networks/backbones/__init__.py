"""Backbones of surrogates and victims: one file a family."""

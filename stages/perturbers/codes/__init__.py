"""Class codes: one learnable δ per task and class, learned against fresh small networks."""

"""A look at a few samples of a dataset, and the configuration that fits them."""

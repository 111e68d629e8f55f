"""Train: the generator, by one loop for every base method."""

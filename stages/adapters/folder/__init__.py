"""A person's own pictures: folders, and tables of labels beside them."""

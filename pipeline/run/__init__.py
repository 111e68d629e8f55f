"""A run step by step: in each file what the driver does, and what a worker does with one job."""

"""What the driver does in each step of a run: which shards, which jobs, what is written and when."""

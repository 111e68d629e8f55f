"""What is done to data: plain functions and small classes over one shard or one training run."""

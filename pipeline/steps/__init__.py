"""What a worker is given: a stage with its places opened, small records in and out."""

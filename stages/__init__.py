"""What is done to data: plain functions and small classes over one shard or one training run."""

import logging

# Without a listener nothing is printed: what a user should read comes through the progress.
logging.getLogger(__name__).addHandler(logging.NullHandler())

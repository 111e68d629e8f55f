"""Ray: one function over many shards, and progress for people and machines."""

import os

# Ray reads it when it is imported, which this package alone does. Under `uv run` Ray would copy the working directory,
# raw images and perturbers with it, into its own folder for the workers.
os.environ["RAY_ENABLE_UV_RUN_RUNTIME_ENV"] = "0"

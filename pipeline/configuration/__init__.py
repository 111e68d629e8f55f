"""From `pipeline.yaml` and `--set` to a checked configuration, or to every mistake in one message."""

"""What things are: configuration, tasks, records, statistics, errors. Only pydantic and the standard library."""

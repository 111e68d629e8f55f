"""The command line's commands, one file a command: what it does and what it prints."""

"""The command line's commands, one file a command: its options, what it does, what it prints and its JSON figures.

Every answer of `mtlue` imports all of these files. Whatever takes time to import, a function here imports for itself.
"""

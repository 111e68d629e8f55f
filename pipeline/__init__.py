"""How and where the stages run: command line, runner, Ray executor, ledger, lease and progress."""

import logging

# Without a listener nothing is printed: what a user should read comes through the progress.
logging.getLogger(__name__).addHandler(logging.NullHandler())

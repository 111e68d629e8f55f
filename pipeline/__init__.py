"""How and where the stages run: command line, runner, Ray executor, ledger, lease and progress."""

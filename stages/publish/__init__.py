"""Publish: the public artefacts, folded from the ledger."""

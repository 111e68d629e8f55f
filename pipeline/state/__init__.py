"""What a run leaves behind in its places, and who may write there: places, ledger, lease, generators."""

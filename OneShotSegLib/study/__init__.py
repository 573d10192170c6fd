"""A batch on disk: cases, runner, quality, review ledger, report."""

"""Batches: one case after another or on many processes, each ending as files in a study or as one sentence why not."""

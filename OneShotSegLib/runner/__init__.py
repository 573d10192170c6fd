"""Runs over batches, in this process or on several: every case ends as files in a study or as one sentence."""

"""The format of a study on disk, and nothing else."""

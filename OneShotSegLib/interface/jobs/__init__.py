"""Child processes: commands, their progress and end, the live worker."""

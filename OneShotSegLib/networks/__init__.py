"""PRNet, the networks' checkpoints and the shipped weights."""

"""Self-supervised training of PRNet (Lei et al., section III-A)."""

"""The networks, their checkpoints and weights, and running them on patches and volumes; imports imaging alone."""

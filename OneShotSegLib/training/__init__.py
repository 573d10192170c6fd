"""Training of the networks, and what both trainings share."""

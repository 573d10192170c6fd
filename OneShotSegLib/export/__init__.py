"""What the next tool wants."""

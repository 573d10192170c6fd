"""What is there of what the computation needs, and what is missing; works where nothing is installed yet."""

"""The page in a browser: its server, on this machine alone, and its files."""

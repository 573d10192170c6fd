"""Child processes that compute for the panel, and what they need."""

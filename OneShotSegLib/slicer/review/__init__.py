"""The review of a study in the scene: cases, decisions, corrections."""

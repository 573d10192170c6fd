"""The panel's sections, one per file, in the order of the work."""

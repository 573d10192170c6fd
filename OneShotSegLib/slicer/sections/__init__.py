"""The panel's sections, one a file, in the order of the work."""

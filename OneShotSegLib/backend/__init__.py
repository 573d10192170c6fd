"""The environment that the Slicer module's child processes run in: which one, its installation, repair and removal.

Needs nothing but Python's own library, for it runs where nothing is installed yet.
"""
